"""safetensors:  safetensors_peer.py clone|mapped FILE

clone: load_file() and a copy of each tensor, so that the bytes have moved when it returns.
mapped: load_file() as it comes, and one byte of each page is read: nothing moves.
"""

import sys

import torch
from safetensors.torch import load_file

import turns

PAGE = 4096


def clone(path):
    return {name: tensor.clone() for name, tensor in load_file(path).items()}


def mapped(path):
    tensors = load_file(path)
    for tensor in tensors.values():
        tensor.reshape(-1).view(torch.uint8)[::PAGE].sum()
    return tensors


if __name__ == "__main__":
    way = {"clone": clone, "mapped": mapped}[sys.argv[1]]
    turns.serve(lambda: way(sys.argv[2]))
