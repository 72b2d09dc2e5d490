"""Pulls as whole processes: many at once over one store, killed at any moment, without a network.

usage: tools/python-env tests/pull_test.py WEIGHBRIDGE FAULT_SERVER [unittest arguments]

WB_KILLS=N kills N pulls at random moments (default 12).
"""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

WEIGHBRIDGE = FAULT_SERVER = None  # from the command line
MIB = 1 << 20
NOT_FOUND, DENIED, EXHAUSTED, IO, CANCELLED = 4, 6, 8, 12, 130
# What a connection may have under way or not yet journalled when its process is killed.
AGAIN = 8 * MIB
CONNECTIONS = 6  # that this origin is given, at most


def environment(home):
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("proxy")}
    return {**kept, "WEIGHBRIDGE_HOME": str(home)}


class Server:
    """An origin that counts, at a rate that leaves time to kill."""

    def __init__(self, directory, *flags):
        self.process = subprocess.Popen([FAULT_SERVER, directory, *flags],
                                        stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().split()[1]

    def bytes(self):
        """Of the model's files, without its seal."""
        with urllib.request.urlopen(f"{self.url}/_stats") as answer:
            counts = json.load(answer)
        return sum(one["bytes"] for path, one in counts.items()
                   if path.startswith("/model/") and not path.endswith(".seal"))

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


class Pulling(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.model = cls.scratch / "served" / "model"
        (cls.model / "sub").mkdir(parents=True)
        bytes_of = random.Random(5).randbytes
        for name, size in (("a.bin", 70 * MIB), ("b.bin", 33 * MIB + 77), ("sub/c.bin", 20 * MIB),
                           ("config.json", 400)):
            (cls.model / name).write_bytes(bytes_of(size))
        subprocess.run([WEIGHBRIDGE, "seal", cls.model, "-q"], check=True, capture_output=True,
                       env=environment(cls.scratch / "sealing"))
        cls.names = [path.relative_to(cls.model) for path in cls.model.rglob("*")
                     if path.is_file() and path.suffix != ".seal"]
        cls.size = sum((cls.model / name).stat().st_size for name in cls.names)

    def setUp(self):
        self.home = Path(self.enterContext(tempfile.TemporaryDirectory())) / "home"
        self.server = Server(self.scratch / "served", "--rate", str(150 * MIB))
        self.addCleanup(self.server.close)
        self.url = f"{self.server.url}/model/"

    def start(self, *words, **options):
        return subprocess.Popen([WEIGHBRIDGE, *words], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=environment(self.home),
                                **options)

    def run_it(self, *words):
        process = self.start(*words)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def pull(self, *words):
        status, out, err = self.run_it("pull", self.url, "-q", *words)
        self.assertEqual(status, 0, err)
        return Path(out.strip())

    def assert_whole(self, directory):
        for name in self.names:
            self.assertEqual((directory / name).read_bytes(), (self.model / name).read_bytes(), name)

    def test_eight_processes_that_want_one_model_fetch_it_once(self):
        pulls = [self.start("pull", self.url, "-q") for _ in range(8)]
        for one in pulls:
            out, err = one.communicate(timeout=120)
            self.assertEqual(one.returncode, 0, err)
            self.assert_whole(Path(out.strip()))
        self.assertLessEqual(self.server.bytes(), 1.02 * self.size)

    def test_another_process_takes_over_from_one_that_is_killed(self):
        first, second = (self.start("pull", self.url, "-q") for _ in range(2))
        self.wait_for_bytes(self.size // 2)
        first.kill()
        first.communicate()
        out, err = second.communicate(timeout=120)
        self.assertEqual(second.returncode, 0, err)
        self.assert_whole(Path(out.strip()))
        self.assertLessEqual(self.server.bytes(), self.size + CONNECTIONS * AGAIN)

    def wait_for_bytes(self, count):
        deadline = time.monotonic() + 60
        while self.server.bytes() < count and time.monotonic() < deadline:
            time.sleep(0.005)

    def test_kills_at_any_moment_cost_little_and_break_nothing(self):
        kills = int(os.environ.get("WB_KILLS", "12"))
        moments, most_again = random.Random(7), 0
        for _ in range(kills):
            shutil.rmtree(self.home, ignore_errors=True)
            before = self.server.bytes()
            process = self.start("pull", self.url, "-q")
            try:
                process.wait(timeout=moments.uniform(0, 1.2))
            except subprocess.TimeoutExpired:
                process.kill()
            process.communicate()
            self.assert_whole(self.pull())
            self.assertEqual(self.run_it("verify", self.url, "--offline", "-q")[0], 0)
            again = self.server.bytes() - before - self.size
            most_again = max(most_again, again)
            self.assertLessEqual(again, CONNECTIONS * AGAIN)
        print(f"{kills} kills: at most {most_again / MIB:.1f} MiB fetched again", file=sys.stderr)

    def test_what_was_pulled_is_read_without_its_origin(self):
        self.assert_whole(self.pull())
        fetched = self.server.bytes()
        seal = (self.model / "weighbridge.seal").read_bytes()
        pinned = f"{self.url}#sha256={hashlib.sha256(seal).hexdigest()}"
        self.assertEqual(self.run_it("verify", self.url)[0], 0)
        self.assertEqual(self.server.bytes(), fetched)
        self.server.close()
        self.assertEqual(self.run_it("verify", pinned)[0], 0)
        self.assertEqual(self.run_it("verify", self.url, "--offline")[0], 0)
        self.assert_whole(self.pull("--offline"))
        self.assertNotEqual(self.run_it("verify", self.url)[0], 0)

    def test_reading_what_nobody_pulled_makes_no_store(self):
        self.assertEqual(self.run_it("verify", self.url)[0], 0)
        self.assertFalse((self.home / "blobs").exists())
        self.assertFalse((self.home / "format").exists())
        self.assertEqual(self.run_it("verify", self.url, "--offline")[0], NOT_FOUND)

    def test_each_way_to_fail_has_its_exit_status(self):
        self.assertEqual(self.run_it("pull", f"{self.server.url}/absent/x.bin")[0], NOT_FOUND)
        self.assertEqual(self.run_it("pull", self.url, "--quota", "1MiB")[0], EXHAUSTED)
        self.assertEqual(self.run_it("pull", self.url, "--quota", "much")[0], 2)
        with open("/dev/full", "wb") as full:
            process = subprocess.run([WEIGHBRIDGE, "pull", self.url, "-q"], stdout=full,
                                     stderr=subprocess.PIPE, env=environment(self.home))
        self.assertEqual(process.returncode, IO)
        self.assert_whole(self.pull())

    @unittest.skipIf(os.geteuid() == 0, "root may write anywhere")
    def test_a_home_that_may_not_be_written_is_denied(self):
        self.home.parent.chmod(0o500)
        self.addCleanup(self.home.parent.chmod, 0o700)
        self.assertEqual(self.run_it("pull", self.url)[0], DENIED)

    def test_an_interrupt_keeps_what_was_proved(self):
        process = self.start("pull", self.url)
        self.wait_for_bytes(self.size // 2)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, CANCELLED)
        self.assert_whole(self.pull())
        self.assertLessEqual(self.server.bytes(), self.size + CONNECTIONS * AGAIN)


if __name__ == "__main__":
    WEIGHBRIDGE, FAULT_SERVER = sys.argv[1:3]
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
