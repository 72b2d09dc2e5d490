"""fio, sequential with O_DIRECT:  fio_read.py FILE BYTES DEPTH

Seconds are those that fio counts itself, so its start is not among them.
"""

import json
import subprocess
import sys

import turns

BLOCK = 4 << 20  # a last piece that is smaller is left out


def read(path, depth):
    done = subprocess.run(
        ["fio", "--name=read", f"--filename={path}", "--readonly", "--rw=read", "--direct=1",
         f"--bs={BLOCK}", "--ioengine=libaio", f"--iodepth={depth}", "--output-format=json"], check=True, capture_output=True, text=True)
    job = json.loads(done.stdout)["jobs"][0]
    seconds = job["read"]["io_bytes"] / job["read"]["bw_bytes"]
    cpu = seconds * (job["usr_cpu"] + job["sys_cpu"]) / 100
    return seconds, cpu, job["read"]["io_bytes"]


def main(path, total, depth):
    turns.say({"ready": True})
    for _ in sys.stdin:
        seconds, cpu, moved = read(path, depth)
        if total - moved >= BLOCK:
            sys.exit(f"fio read {moved} bytes of {total}")
        turns.say({"seconds": seconds, "cpu_seconds": cpu, "bytes": moved, "peak_rss_bytes": 0})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
