"""fio, sequential writes with O_DIRECT and a sync at the end:  fio_write.py FILE BYTES DEPTH

Seconds are those that fio counts itself, so its start and its laying out are not among them.
"""

import json
import os
import subprocess
import sys

import turns


def write(path, total, depth):
    done = subprocess.run(
        ["fio", "--name=write", f"--filename={path}", "--rw=write", "--direct=1", "--bs=4M",
         f"--size={total}", "--ioengine=libaio", f"--iodepth={depth}", "--end_fsync=1",
         "--output-format=json"], check=True, capture_output=True, text=True)
    os.remove(path)
    job = json.loads(done.stdout)["jobs"][0]
    seconds = job["write"]["runtime"] / 1000
    cpu = seconds * (job["usr_cpu"] + job["sys_cpu"]) / 100
    return seconds, cpu, job["write"]["io_bytes"]


def main(path, total, depth):
    turns.say({"ready": True})
    for _ in sys.stdin:
        seconds, cpu, moved = write(path, total, depth)
        turns.say({"seconds": seconds, "cpu_seconds": cpu, "bytes": moved, "peak_rss_bytes": 0})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
