"""Run:ai Model Streamer:  runai_peer.py FILE

As RUNAI_STREAMER_FS_STRATEGY and RUNAI_STREAMER_CONCURRENCY say; as it comes without them.
"""

import sys

from runai_model_streamer import SafetensorsStreamer

import turns


class Peer:
    def __init__(self, path):
        self.path = path
        self.streamer = None

    def load(self):
        self.streamer = SafetensorsStreamer()
        self.streamer.__enter__()
        self.streamer.stream_files([self.path])
        return dict(self.streamer.get_tensors())

    def clean_up(self):
        self.streamer.__exit__(None, None, None)
        self.streamer = None


if __name__ == "__main__":
    peer = Peer(sys.argv[1])
    turns.serve(peer.load, peer.clean_up)
