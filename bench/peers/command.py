"""A whole command a turn:  command.py BYTES COMMAND...

Its start is among the seconds, as it is for whoever types it. The CPU is that of its processes.
"""

import resource
import subprocess
import sys
import time

import turns


def children():
    return resource.getrusage(resource.RUSAGE_CHILDREN)


def cpu_seconds(usage):
    return usage.ru_utime + usage.ru_stime


def main(total, command):
    turns.say({"ready": True})
    for _ in sys.stdin:
        before, began = children(), time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        seconds, after = time.perf_counter() - began, children()
        if done.returncode != 0:
            sys.exit(f"{command[0]} ended with {done.returncode}")
        turns.say({"seconds": seconds, "cpu_seconds": cpu_seconds(after) - cpu_seconds(before),
                   "bytes": total, "peak_rss_bytes": after.ru_maxrss * 1024})


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
