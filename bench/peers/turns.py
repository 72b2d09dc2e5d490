"""What the runners of peers share: turns on the word of tools/bench, as bench/turns.h has them.

A runner hands in `load`, which returns the tensors by name. It is timed until it returns, with the
CPU of the process and of its children; what it returned is dropped before the next turn, so that
its memory is there again. The environment that tools/bench sets keeps that memory resident.
"""

import gc
import hashlib
import json
import resource
import sys
import time


def cpu_seconds():
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def peak_rss_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def bytes_of(tensor):
    """The bytes of a torch tensor, as something that hashlib takes."""
    import torch
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()


def digest(tensors):
    """SHA-256 of "name sha256\n" of all tensors by name."""
    whole = hashlib.sha256()
    for name in sorted(tensors, key=str.encode):
        one = hashlib.sha256(bytes_of(tensors[name])).hexdigest()
        whole.update(f"{name} {one}\n".encode())
    return whole.hexdigest()


def say(answer):
    print(json.dumps(answer), flush=True)


def timed(load):
    cpu, wall = cpu_seconds(), time.perf_counter()
    loaded = load()
    return loaded, {"seconds": time.perf_counter() - wall, "cpu_seconds": cpu_seconds() - cpu}


def serve(load, clean_up=lambda: None):
    say({"ready": True})
    for line in sys.stdin:
        if line.strip() == "digest":
            loaded = load()
            say({"digest": digest(loaded)})
        else:
            loaded, answer = timed(load)
            answer["bytes"] = sum(tensor.nbytes for tensor in loaded.values())
            answer["peak_rss_bytes"] = peak_rss_bytes()
            say(answer)
        del loaded
        clean_up()
        gc.collect()
