"""fastsafetensors, without GPU:  fastsafetensors_peer.py FILE"""

import sys

from fastsafetensors import fastsafe_open

import turns


class Peer:
    def __init__(self, path):
        self.path = path
        self.opened = None

    def load(self):
        self.opened = fastsafe_open([self.path], device="cpu", nogds=True)
        self.opened.__enter__()
        return {name: self.opened.get_tensor(name) for name in self.opened.keys()}

    def clean_up(self):
        self.opened.__exit__(None, None, None)
        self.opened = None


if __name__ == "__main__":
    peer = Peer(sys.argv[1])
    turns.serve(peer.load, peer.clean_up)
