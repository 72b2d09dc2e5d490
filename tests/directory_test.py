"""Pulls into directories, locks and bundles, as whole processes.

usage: tools/python-env tests/directory_test.py WEIGHBRIDGE FAULT_SERVER [unittest arguments]

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
import unittest
from pathlib import Path

import pull_test
from pull_test import AGAIN, CANCELLED, CONNECTIONS, DENIED, EXHAUSTED, IO, MIB, NOT_FOUND

CORRUPT, EXISTS, UNSUPPORTED, CONFLICT = 3, 5, 7, 13
SEAL = "weighbridge.seal"


class IntoDirectory(unittest.TestCase):
    setUpClass = classmethod(pull_test.Pulling.setUpClass.__func__)
    start = pull_test.Pulling.start
    run_it = pull_test.Pulling.run_it
    pull = pull_test.Pulling.pull
    assert_whole = pull_test.Pulling.assert_whole
    wait_for_bytes = pull_test.Pulling.wait_for_bytes

    def setUp(self):
        pull_test.Pulling.setUp(self)
        self.directory = self.home.parent / "into"

    def assert_finished(self, directory=None):
        directory = directory or self.directory
        self.assert_whole(directory)
        self.assertEqual((directory / SEAL).read_bytes(), (self.model / SEAL).read_bytes())
        self.assertFalse((directory / ".weighbridge-partial").exists())

    def assert_not_whole(self):
        """What stands there, if anything, looks like no whole model."""
        self.assertFalse((self.directory / SEAL).exists())
        for name in self.names:
            if (self.directory / name).exists():
                self.assertEqual((self.directory / name).read_bytes(),
                                 (self.model / name).read_bytes())

    def test_writes_a_directory_and_makes_no_store(self):
        self.assertEqual(self.pull(self.directory), self.directory)
        self.assert_finished()
        self.assertEqual(self.server.bytes(), self.size)
        self.assertFalse((self.home / "format").exists())
        self.assertEqual(self.run_it("verify", self.directory)[0], 0)
        self.pull(self.directory)
        self.assertEqual(self.server.bytes(), self.size)

    def test_takes_from_the_store_what_that_has(self):
        self.pull()
        fetched = self.server.bytes()
        self.pull(self.directory, "--offline")
        self.assert_finished()
        self.assertEqual(self.server.bytes(), fetched)
        for name in self.names:
            self.assertEqual((self.directory / name).stat().st_nlink, 1)

    def test_kills_at_any_moment_cost_little_and_leave_nothing_that_looks_whole(self):
        kills = int(os.environ.get("WB_KILLS", "12"))
        moments, most_again = random.Random(8), 0
        for _ in range(kills):
            shutil.rmtree(self.directory, ignore_errors=True)
            before = self.server.bytes()
            process = self.start("pull", self.url, self.directory, "-q")
            try:
                process.wait(timeout=moments.uniform(0, 1.2))
            except subprocess.TimeoutExpired:
                process.kill()
            process.communicate()
            if (self.directory / SEAL).exists():
                self.assert_whole(self.directory)
            else:
                self.assert_not_whole()
            self.pull(self.directory)
            self.assert_finished()
            again = self.server.bytes() - before - self.size
            most_again = max(most_again, again)
            self.assertLessEqual(again, CONNECTIONS * AGAIN)
        print(f"{kills} kills: at most {most_again / MIB:.1f} MiB fetched again", file=sys.stderr)

    def test_an_interrupt_keeps_what_was_proved(self):
        process = self.start("pull", self.url, self.directory)
        self.wait_for_bytes(self.size // 2)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, CANCELLED)
        self.assert_not_whole()
        self.pull(self.directory)
        self.assert_finished()
        self.assertLessEqual(self.server.bytes(), self.size + CONNECTIONS * AGAIN)

    def test_each_way_to_fail_has_its_exit_status(self):
        self.directory.mkdir()
        (self.directory / "config.json").write_text("mine")
        status, _, err = self.run_it("pull", self.url, self.directory, "--json")
        self.assertEqual(status, EXISTS)
        self.assertEqual(json.loads(err)["file"], "config.json")
        self.assertEqual(self.server.bytes(), 0)
        (self.directory / "config.json").unlink()
        (self.directory / "sub").symlink_to(self.home.parent)
        self.assertIn(self.run_it("pull", self.url, self.directory)[0], (EXISTS, DENIED))
        (self.directory / "sub").unlink()
        self.assertEqual(os.listdir(self.directory), [])
        self.assertEqual(self.run_it("pull", f"{self.url}#sha256={'0' * 64}", self.directory)[0],
                         CORRUPT)
        self.assertEqual(self.run_it("pull", self.url, self.directory, "--offline")[0], NOT_FOUND)
        self.assertEqual(self.run_it("pull", self.url, self.directory / "a" / "b")[0], NOT_FOUND)
        with open("/dev/full", "wb") as full:
            process = subprocess.run([pull_test.WEIGHBRIDGE, "pull", self.url, self.directory],
                                     stdout=full, stderr=subprocess.PIPE,
                                     env=pull_test.environment(self.home))
        self.assertEqual(process.returncode, IO)
        self.pull(self.directory)
        self.assert_finished()

    def test_a_full_disk_loses_nothing_and_the_pull_goes_on_when_there_is_room(self):
        self.directory.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=110m", "none",
                                  self.directory], capture_output=True)
        if mounted.returncode != 0:
            self.skipTest("a small file system cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", self.directory], check=True)
        (self.directory / "mine.txt").write_text("mine")
        self.assertEqual(self.run_it("pull", self.url, self.directory)[0], EXHAUSTED)
        self.assert_not_whole()
        self.assertEqual((self.directory / "mine.txt").read_text(), "mine")
        subprocess.run(["mount", "-o", "remount,size=200m", self.directory], check=True)
        self.pull(self.directory)
        self.assert_finished()

    def test_a_lock_holds_a_pull_to_what_it_says(self):
        lock = self.home.parent / "weighbridge.lock"
        self.assertEqual(self.run_it("lock", self.url, "--file", lock)[0], NOT_FOUND)
        self.pull()
        self.assertEqual(self.run_it("lock", self.url, "--file", lock)[0], 0)
        text = lock.read_text()
        seal = hashlib.sha256((self.model / SEAL).read_bytes()).hexdigest()
        self.assertIn(f"ref {self.url}\n", text)
        self.assertIn(f"seal {seal}\n", text)
        held = ("--locked", "--lock-file", lock)
        self.pull(*held)
        self.pull(self.directory, *held)
        self.assert_finished()
        shutil.rmtree(self.home)
        shutil.rmtree(self.directory)
        lock.write_text(text.replace(seal, "0" * 64))
        self.assertEqual(self.run_it("pull", self.url, *held)[0], CORRUPT)
        self.assertEqual(self.run_it("pull", self.url, self.directory, *held)[0], CORRUPT)
        content = text.split("content ")[1][:64]
        lock.write_text(text.replace(seal, "-").replace(content, "0" * 64))
        self.assertEqual(self.run_it("pull", self.url, *held)[0], CONFLICT)
        # Only all of it can be held to such a lock, before anything is replaced.
        self.assertEqual(self.run_it("pull", self.url, self.directory, *held)[0], UNSUPPORTED)
        self.assertEqual(self.run_it("pull", self.url, "--filter", "*.json", *held)[0], UNSUPPORTED)
        lock.write_text("weighbridge lock 1\n")
        self.assertEqual(self.run_it("pull", self.url, *held)[0], NOT_FOUND)

    def test_a_bundle_carries_a_model_to_where_there_is_no_network(self):
        bundle = self.home.parent / "model.tar"
        self.assertEqual(self.run_it("export", self.url, bundle)[0], NOT_FOUND)
        self.pull()
        self.assertEqual(self.run_it("export", self.url, bundle)[0], 0)
        subprocess.run(["tar", "xf", bundle, "-C", self.scratch_directory()], check=True)
        self.assert_finished(self.unpacked)
        self.server.close()
        shutil.rmtree(self.home)
        seal = hashlib.sha256((self.model / SEAL).read_bytes()).hexdigest()
        pinned = f"{self.url}#sha256={seal}"
        wrong = f"{self.url}#sha256={'0' * 64}"
        self.assertEqual(self.run_it("import", bundle, wrong)[0], CORRUPT)
        self.assertEqual(self.run_it("import", self.home.parent / "absent.tar")[0], NOT_FOUND)
        with open(bundle, "rb") as stream:
            done = subprocess.run([pull_test.WEIGHBRIDGE, "import", "-", pinned, "--json"],
                                  stdin=stream, capture_output=True,
                                  env=pull_test.environment(self.home))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_whole(Path(json.loads(done.stdout)["directory"]))
        self.assertEqual(self.run_it("verify", pinned, "--offline")[0], 0)
        cut = self.home.parent / "cut.tar"
        cut.write_bytes(bundle.read_bytes()[:-600])
        self.assertEqual(self.run_it("import", cut)[0], CORRUPT)
        # A reader that goes away is named, and no half of a file looks whole.
        with open("/dev/full", "wb") as nowhere:
            full = subprocess.run([pull_test.WEIGHBRIDGE, "export", pinned, "-"], stdout=nowhere,
                                  stderr=subprocess.PIPE,
                                  env=pull_test.environment(self.home))
        self.assertEqual(full.returncode, IO)

    def scratch_directory(self):
        self.unpacked = Path(self.enterContext(tempfile.TemporaryDirectory()))
        return self.unpacked


if __name__ == "__main__":
    pull_test.WEIGHBRIDGE, pull_test.FAULT_SERVER = sys.argv[1:3]
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
