"""tensorizer:  tensorizer_peer.py write SAFETENSORS FILE     makes its file from ours
             tensorizer_peer.py load FILE|URL READERS hashed|unhashed     READERS 0: as it comes
"""

import sys

from safetensors.torch import load_file
from tensorizer import TensorDeserializer, TensorSerializer
from tensorizer.stream_io import open_stream

import turns


class Peer:
    def __init__(self, source, readers, verify):
        self.source = source
        self.options = {"verify_hash": verify, **({"num_readers": readers} if readers else {})}
        self.opened = None

    def load(self):
        stream = open_stream(self.source, "rb") if "://" in self.source else self.source
        self.opened = TensorDeserializer(stream, device="cpu", **self.options)
        tensors = dict(self.opened.items())
        self.opened.close()
        return tensors

    def clean_up(self):
        self.opened = None


def write(safetensors, path):
    serializer = TensorSerializer(path)
    serializer.write_state_dict(load_file(safetensors))
    serializer.close()


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(*sys.argv[2:])
    else:
        peer = Peer(sys.argv[2], int(sys.argv[3]), sys.argv[4] == "hashed")
        turns.serve(peer.load, peer.clean_up)
