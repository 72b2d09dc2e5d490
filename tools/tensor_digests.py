"""Prints the tensors of a safetensors file as the `safetensors` package reads them, as JSON:
[{name, dtype, shape, bytes, sha256}], by name. What `weighbridge load --digests` is compared with.

usage: tools/python-env tools/tensor_digests.py FILE
"""

import hashlib
import json
import sys
from pathlib import Path

import safetensors


def digests(path):
    tensors = safetensors.deserialize(Path(path).read_bytes())
    return sorted(({"name": name,
                    "dtype": tensor["dtype"],
                    "shape": list(tensor["shape"]),
                    "bytes": len(tensor["data"]),
                    "sha256": hashlib.sha256(tensor["data"]).hexdigest()}
                   for name, tensor in tensors), key=lambda tensor: tensor["name"].encode())


if __name__ == "__main__":
    json.dump(digests(sys.argv[1]), sys.stdout)
