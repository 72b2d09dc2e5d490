"""The store under processes that are killed and disks that are full: many programs over one home, one
pull killed again and again, homes that are too small. Prints what was counted; ends with status 1 if
a reader failed or saw a wrong byte.

usage: tools/python-env tests/torture.py WEIGHBRIDGE FAULT_SERVER [--seconds N] [--kills N] [--seed N]
"""

import argparse
import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import numpy
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
from tensor_digests import digests  # noqa: E402

PROCESSES = 8
MIB = 1024 * 1024
KILLED = -signal.SIGKILL
EXHAUSTED = 8
SLOW = 150 * MIB  # bytes a second: so that a pull is under way for a quarter of a second
LEAST_DELAY, MOST_DELAY = 0.005, 0.35  # seconds until a pull is killed
SMALL_HOMES = [1, 3, 9, 14, 20, 27, 33, 36]  # MiB, all too small for the model
LARGE_HOME = 64


def environment(home):
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("proxy")}
    return {**kept, "WEIGHBRIDGE_HOME": str(home)}


def make_model(directory, seed, files=3, tensors=12):
    """Three shards of 12 MiB; of two models with other seeds three tensors in four are the same."""
    directory.mkdir()
    for file in range(files):
        table = {}
        for i in range(tensors):
            own = numpy.random.default_rng((file, i, seed if i % 4 == 0 else 0))
            table[f"file{file}.layer{i}"] = own.integers(0, 255, MIB, dtype=numpy.uint8)
        save_file(table, directory / f"model-{file + 1:05}-of-{files:05}.safetensors",
                  metadata={"seed": str(seed) * (1 + 40 * (seed % 2))})  # headers of other lengths
    return directory


class World:
    """Two revisions of a model behind a server, and one home."""

    def __init__(self, weighbridge, fault_server, scratch):
        self.weighbridge = weighbridge
        self.scratch = scratch
        self.home = scratch / "home"
        self.models = [make_model(scratch / f"model{seed}", seed) for seed in (1, 2)]
        for model in self.models:
            subprocess.run([weighbridge, "seal", model, "-q"], check=True, capture_output=True,
                           env=environment(scratch / "other-home"))
        self.expected = [self.digests_of(model) for model in self.models]
        self.servers = []
        self.url = self.serve(fault_server)
        self.slow_url = self.serve(fault_server, "--rate", str(SLOW))

    def serve(self, fault_server, *options):
        server = subprocess.Popen([fault_server, self.scratch, *options], stdout=subprocess.PIPE,
                                  text=True)
        self.servers.append(server)
        return server.stdout.readline().split()[1]

    def close(self):
        for server in self.servers:
            server.terminate()
            server.wait()

    @staticmethod
    def digests_of(model):
        return {tensor["name"]: tensor["sha256"] for file in sorted(model.glob("*.safetensors"))
                for tensor in digests(file)}

    def bytes_of(self, number):
        return sum(file.stat().st_size for file in self.models[number].glob("*.safetensors"))

    def ref(self, number):
        return f"{self.url}/model{number + 1}/"

    def start(self, *words, home=None):
        return subprocess.Popen([self.weighbridge, *map(str, words)], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=environment(home or self.home))

    def origin_bytes(self, url=None):
        """Of weights, over all requests there have been."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{url or self.url}/_stats") as answer:
            return sum(counts["bytes"] for path, counts in json.load(answer).items()
                       if path.endswith(".safetensors"))

    def wrong_tensors(self, number, printed):
        """Of what `load --digests --json` printed."""
        found = {tensor["name"]: tensor["sha256"] for tensor in json.loads(printed)["tensor_digests"]}
        return sum(found.get(name) != digest for name, digest in self.expected[number].items())

    def check_directory(self, number, directory):
        """Every file that stands under its own name is whole."""
        for file in Path(directory).glob("*.safetensors"):
            if file.read_bytes() != (self.models[number] / file.name).read_bytes():
                return f"{file} has wrong bytes"
        return None


class Herd:
    """Eight processes pull, load, gc and rm over one home, while one is killed each second."""

    def __init__(self, world, seed):
        self.world = world
        self.random = random.Random(seed)
        self.counts = collections.Counter()
        self.failures = []
        self.running = {}
        self.lock = threading.Lock()
        self.over = threading.Event()

    def words(self):
        number = self.random.randrange(2)
        ref = self.world.ref(number)
        kind = self.random.choices(["pull", "load", "gc", "rm"], [4, 4, 1, 1])[0]
        return kind, number, {"pull": ["pull", ref, "-q"],
                              "load": ["load", ref, "--digests", "--json"],
                              "gc": ["gc", "-q"], "rm": ["rm", ref, "-q"]}[kind]

    def work(self):
        while not self.over.is_set():
            with self.lock:
                kind, number, words = self.words()
                process = self.world.start(*words)
                self.running[process.pid] = process
            out, err = process.communicate()
            with self.lock:
                del self.running[process.pid]
                self.judge(kind, number, process.returncode, out, err)

    def judge(self, kind, number, status, out, err):
        if status == KILLED:
            self.counts["killed"] += 1
            return
        self.counts[kind] += 1
        if kind == "rm" and status != 0:  # somebody reads it, or nobody pulled it
            self.counts["rm refused"] += 1
        elif status != 0:
            self.failures.append(f"{kind} ended with {status}: {err.strip()[:500]}")
        elif kind == "load" and self.world.wrong_tensors(number, out):
            self.failures.append("load gave wrong bytes")

    def run(self, seconds):
        workers = [threading.Thread(target=self.work) for _ in range(PROCESSES)]
        for worker in workers:
            worker.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(min(1.0, seconds / 4))
            with self.lock:
                if self.running:
                    self.random.choice(list(self.running.values())).kill()
        self.over.set()
        for worker in workers:
            worker.join()
        print(f"herd: {seconds} s, " + ", ".join(f"{count} {kind}" for kind, count in
                                                 sorted(self.counts.items())) +
              f"; {len(self.failures)} failures")
        return self.failures


def together(world):
    """Eight processes that want one model fetch it once."""
    home, before = world.scratch / "together", world.origin_bytes()
    pulls = [world.start("pull", world.ref(0), "-q", home=home) for _ in range(PROCESSES)]
    errors = [err for pull in pulls for _, err in [pull.communicate()] if pull.returncode != 0]
    ratio = (world.origin_bytes() - before) / world.bytes_of(0)
    print(f"together: {PROCESSES} pulls of one model, {ratio:.3f} times its bytes from the origin")
    return errors + ([f"the origin sent {ratio:.3f} times the model"] if ratio > 1.02 else [])


def kills(world, count, seed):
    """One pull, killed at a random moment, then finished: nothing wrong, little fetched twice."""
    chance, failures, most, killed = random.Random(seed), [], 0, 0
    ref = f"{world.slow_url}/model1/"
    for turn in range(count):
        home, before = world.scratch / f"kill{turn}", world.origin_bytes(world.slow_url)
        pull = world.start("pull", ref, "-q", home=home)
        time.sleep(chance.uniform(LEAST_DELAY, MOST_DELAY))
        pull.kill()
        pull.communicate()
        killed += pull.returncode == KILLED
        for snapshot in home.glob("snapshots/*/"):
            wrong = world.check_directory(0, snapshot)
            failures += [wrong] if wrong else []
        last = world.start("pull", ref, "-q", home=home)
        out, err = last.communicate()
        wrong = err if last.returncode != 0 else world.check_directory(0, out.strip())
        failures += [f"turn {turn}: {wrong}"] if wrong else []
        again = world.origin_bytes(world.slow_url) - before - world.bytes_of(0)
        most = max(most, again)
        shutil.rmtree(home)
    print(f"kills: {killed} of {count} pulls killed under way, at most {most / MIB:.1f} MiB fetched "
          f"again, {len(failures)} failures")
    return failures


def full_disks(world):
    """A home without room for the model: it says so, keeps what is there, and works once there is."""
    failures = []
    script = f"""
        mount -t tmpfs -o size=${{SIZE}}m none "$WEIGHBRIDGE_HOME" || exit 99
        {world.weighbridge} pull {world.ref(0)} -q
        first=$?
        mount -o remount,size={LARGE_HOME}m "$WEIGHBRIDGE_HOME"
        cat "$({world.weighbridge} pull {world.ref(0)} -q)"/*.safetensors | sha256sum
        exit $first"""
    whole = subprocess.run(f"cat {world.models[0]}/*.safetensors | sha256sum", shell=True, check=True,
                           capture_output=True).stdout
    for size in SMALL_HOMES:
        home = world.scratch / f"small{size}"
        home.mkdir()
        done = subprocess.run(["unshare", "--mount", *(["--map-root-user"] if os.getuid() else []),
                               "sh", "-c", script], capture_output=True, check=False,
                              env={**environment(home), "SIZE": str(size)})
        if done.returncode in (1, 99) and b"weighbridge" not in done.stderr:
            print(f"full disks: not run, no file system can be mounted here: {done.stderr.decode()}")
            return []
        if done.returncode != EXHAUSTED or done.stdout != whole:
            failures.append(f"{size} MiB: status {done.returncode}, {done.stdout}, {done.stderr}")
    print(f"full disks: {len(SMALL_HOMES)} sizes, {len(failures)} failures")
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weighbridge")
    parser.add_argument("fault_server")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        world = World(options.weighbridge, options.fault_server, Path(scratch))
        try:
            failures = together(world)
            failures += kills(world, options.kills, options.seed)
            failures += full_disks(world)
            failures += Herd(world, options.seed).run(options.seconds)
        finally:
            world.close()
    for failure in failures[:20]:
        print(f"  {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
