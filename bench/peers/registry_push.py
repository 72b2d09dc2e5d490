"""Pushes to a registry of its own, one process a turn:

    registry_push.py REGISTRY BYTES DIRECTORY [--keep] [--before COMMAND] -- COMMAND ...

Each turn empties the registry (unless --keep), runs the command of --before in a shell, untimed,
and then the push, in DIRECTORY, with {host} replaced. The CPU is that of the client; that of the
registry is told beside it, since both share the machine.
"""

import argparse
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import turns

CONFIG = """version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}
http: {addr: 127.0.0.1:%d}
"""


def children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Registry:
    def __init__(self, program, directory):
        self.program, self.directory, self.process = program, directory, None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def start(self):
        self.stop()
        store = self.directory / "store"
        shutil.rmtree(store, ignore_errors=True)
        config = self.directory / "registry.yml"
        config.write_text(CONFIG % (store, self.port))
        self.process = subprocess.Popen([self.program, "serve", config],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while socket.socket().connect_ex(("127.0.0.1", self.port)) != 0:
            if self.process.poll() is not None:
                sys.exit(f"{self.program} ended")

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def push(registry, command, directory):
    cpu, server, wall = children_cpu(), registry.cpu_seconds(), time.perf_counter()
    done = subprocess.run(command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    took = time.perf_counter() - wall
    if done.returncode != 0:
        sys.exit(f"{command[0]}: {done.stdout[-2000:].decode(errors='replace')}")
    return {"seconds": took, "cpu_seconds": children_cpu() - cpu,
            "server_cpu_seconds": registry.cpu_seconds() - server,
            "peak_rss_bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("registry")
    parser.add_argument("bytes", type=int)
    parser.add_argument("directory")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--before", default="true")
    parser.add_argument("command", nargs="+")
    told = parser.parse_args()
    os.environ["OTEL_TRACES_EXPORTER"] = "none"
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        registry = Registry(told.registry, Path(scratch))
        host = f"127.0.0.1:{registry.port}"
        command = [part.replace("{host}", host) for part in told.command]
        try:
            registry.start()
            if told.keep:
                push(registry, command, told.directory)
            turns.say({"ready": True})
            for _ in sys.stdin:
                if not told.keep:
                    registry.start()
                subprocess.run(told.before, shell=True, check=True, stdout=subprocess.DEVNULL)
                turns.say({**push(registry, command, told.directory), "bytes": told.bytes})
        finally:
            registry.stop()


if __name__ == "__main__":
    main()
