"""curl --range to /dev/null, several at once:  curl_ranges.py URL BYTES COUNT

The least that a client made of other people's programs can do. The CPU is that of the curls.
"""

import resource
import subprocess
import sys
import time

import turns


def shares(total, count):
    edges = [total * i // count for i in range(count + 1)]
    return list(zip(edges, edges[1:]))


def fetch(url, total, count):
    began = [subprocess.Popen(["curl", "--silent", "--fail", "--range", f"{begin}-{end - 1}",
                               "--output", "/dev/null", url]) for begin, end in shares(total, count)]
    if any([process.wait() != 0 for process in began]):
        sys.exit(f"curl failed on {url}")


def children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main(url, total, count):
    turns.say({"ready": True})
    for _ in sys.stdin:
        cpu, wall = children_cpu(), time.perf_counter()
        fetch(url, total, count)
        turns.say({"seconds": time.perf_counter() - wall, "cpu_seconds": children_cpu() - cpu,
                   "bytes": total, "peak_rss_bytes":
                   resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
