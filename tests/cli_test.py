"""The program as a user meets it: local directories and a real server, compared with the
`safetensors` package.

usage: tools/python-env tests/cli_test.py WEIGHBRIDGE FAULT_SERVER [unittest arguments]
"""

import contextlib
import hashlib
import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
import urllib.parse
import urllib.request
from pathlib import Path

import numpy
from blake3 import blake3
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
from tensor_digests import digests  # noqa: E402

WEIGHBRIDGE = FAULT_SERVER = None  # from the command line
ZEROS = "0" * 64
CORRUPT, IO, CANCELLED = 3, 12, 130


def environment(home):
    """Without what would send loopback requests elsewhere, and with a home of one's own."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("proxy")}
    return {**kept, "WEIGHBRIDGE_HOME": str(home)}


def make_model(directory):
    """8 MiB in tensors of several types, a third of them beyond the first piece."""
    random = numpy.random.default_rng(3)
    tensors = {f"layer.{i}.weight": random.standard_normal((512, 512)).astype(numpy.float32)
               for i in range(8)}
    tensors |= {"bias": random.integers(0, 100, 77, dtype=numpy.int64),
                "half": random.standard_normal((3, 5, 7)).astype(numpy.float16),
                "scalar": numpy.array(True), "empty": numpy.zeros((0, 4), numpy.uint8)}
    directory.mkdir()
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "config.json").write_text("{}")


class Cli(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.plain, cls.sealed = cls.scratch / "plain", cls.scratch / "sealed"
        make_model(cls.plain)
        shutil.copytree(cls.plain, cls.sealed)
        subprocess.run([WEIGHBRIDGE, "seal", cls.sealed, "-q"], check=True, capture_output=True)
        cls.seal_sha256 = cls.sha256(cls.sealed / "weighbridge.seal")
        cls.weights = cls.plain / "model.safetensors"
        cls.expected = digests(cls.weights)
        cls.bytes = sum(tensor["bytes"] for tensor in cls.expected)
        cls.server = subprocess.Popen([FAULT_SERVER, cls.scratch], stdout=subprocess.PIPE, text=True)
        cls.addClassCleanup(cls.stop_server)
        cls.url = cls.server.stdout.readline().split()[1]

    @classmethod
    def stop_server(cls):
        cls.server.terminate()
        cls.server.wait()
        cls.server.stdout.close()

    @staticmethod
    def sha256(path):
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def run_it(self, *words, home=None, **options):
        """With a home that nothing is known in, unless one is given."""
        with tempfile.TemporaryDirectory() as empty:
            return subprocess.run([WEIGHBRIDGE, *map(str, words)], capture_output=True, text=True,
                                  check=False, timeout=120, env=environment(home or empty),
                                  **options)

    def json(self, *words):
        done = self.run_it(*words, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")
        return json.loads(done.stdout)

    def error(self, status, code, *words):
        """The error with --json, after checking that the text for people says the same."""
        done = self.run_it(*words, "--json")
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        error = json.loads(done.stderr)
        self.assertEqual(error["code"], code)
        self.assertLessEqual(set(error), {"code", "message", "file", "offset", "hint"})
        people = self.run_it(*words)
        self.assertEqual(people.returncode, status)
        self.assertTrue(people.stderr.startswith("weighbridge: "), people.stderr)
        return error

    def fault(self, query):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.url}/{query}") as answer:
            return answer.read()

    @contextlib.contextmanager
    def flipped(self, path, offset):
        self.fault("_fault?flip=" + urllib.parse.quote(f"/{path}:{offset}", safe="/:"))
        try:
            yield
        finally:
            self.fault("_fault?clear")

    def scratch_copy(self):
        directory = Path(tempfile.mkdtemp(dir=self.scratch))
        shutil.copytree(self.sealed, directory, dirs_exist_ok=True)
        return directory


class Loading(Cli):
    def check_load(self, ref, trust):
        loaded = self.json("load", ref, "--digests")
        self.assertEqual(loaded["tensor_digests"], self.expected)
        self.assertEqual(loaded["tensors"], len(self.expected))
        self.assertEqual(loaded["bytes"], self.bytes)
        self.assertEqual(loaded["proof"], {"pinned": 0, "origin": 0, "first_seen": 0, "none": 0}
                         | {trust: self.bytes})
        self.assertGreater(loaded["peak_rss_bytes"], self.bytes)
        self.assertGreater(loaded["seconds"], 0)
        return loaded

    def test_every_way_to_the_model_gives_the_tensors_of_the_safetensors_package(self):
        sha256, root = self.sha256(self.weights), blake3(self.weights.read_bytes()).hexdigest()
        for place in (self.scratch, self.url):
            for ref, trust in ((f"{place}/plain/", "first_seen"),
                               (f"{place}/plain/model.safetensors", "first_seen"),
                               (f"{place}/plain/model.safetensors#sha256={sha256}", "pinned"),
                               (f"{place}/plain/model.safetensors#blake3={root}", "pinned"),
                               (f"{place}/sealed/", "origin"),
                               (f"{place}/sealed/model.safetensors", "origin"),
                               (f"{place}/sealed/#sha256={self.seal_sha256}", "pinned")):
                with self.subTest(ref=ref):
                    self.check_load(ref, trust)
        self.check_load(self.sealed.as_uri(), "origin")

    def test_the_content_id_is_the_same_from_everywhere(self):
        ids = {self.json("load", f"{place}/sealed/")["content_id"]
               for place in (self.scratch, self.url)}
        self.assertEqual(len(ids), 1)
        self.assertRegex(ids.pop(), "^[0-9a-f]{64}$")
        self.assertIsNone(self.json("load", f"{self.url}/plain/")["content_id"])

    def test_filters_choose_by_name_and_fetch_little_else(self):
        ref = f"{self.url}/sealed/"
        before = json.loads(self.fault("_stats"))["/sealed/model.safetensors"]["bytes"]
        loaded = self.json("load", ref, "--digests", "--filter", "layer.3.*", "--filter", "bias")
        after = json.loads(self.fault("_stats"))["/sealed/model.safetensors"]["bytes"]
        wanted = [tensor for tensor in self.expected
                  if tensor["name"] in ("bias", "layer.3.weight")]
        self.assertEqual(loaded["tensor_digests"], wanted)
        self.assertLessEqual(after - before, 4 << 20)
        self.error(4, "not_found", "load", ref, "--filter", "layer.3.*", "--filter", "absent.*")

    def test_a_filter_on_a_file_with_a_sha256_alone_reads_all_of_it(self):
        ref = f"{self.url}/plain/model.safetensors#sha256={self.sha256(self.weights)}"
        loaded = self.json("load", ref, "--filter", "bias")
        self.assertEqual(loaded["tensors"], 1)
        with self.flipped("plain/model.safetensors", self.weights.stat().st_size - 1):
            self.error(CORRUPT, "corrupt", "load", ref, "--filter", "bias")

    def test_the_second_load_of_what_a_sha256_names_streams_piece_by_piece(self):
        ref = f"{self.url}/plain/model.safetensors#sha256={self.sha256(self.weights)}"
        home = self.scratch / "home-of-trees"
        moved = []
        for _ in range(2):
            before = json.loads(self.fault("_stats"))["/plain/model.safetensors"]["bytes"]
            done = self.run_it("load", ref, "--filter", "bias", "--digests", "--json", home=home)
            self.assertEqual(done.returncode, 0, done.stderr)
            loaded = json.loads(done.stdout)
            self.assertEqual(loaded["tensor_digests"],
                             [tensor for tensor in self.expected if tensor["name"] == "bias"])
            self.assertEqual(loaded["proof"]["pinned"], loaded["bytes"])
            after = json.loads(self.fault("_stats"))["/plain/model.safetensors"]["bytes"]
            moved.append(after - before)
        self.assertGreaterEqual(moved[0], self.weights.stat().st_size)
        self.assertLessEqual(moved[1], 3 << 20)

    def test_a_shard_that_cannot_be_read_is_not_left_out(self):
        with tempfile.TemporaryDirectory() as directory:
            half = Path(directory)
            shutil.copy(self.weights, half / "model-00001-of-00002.safetensors")
            (half / "model-00002-of-00002.safetensors").symlink_to(half / "missing")
            error = self.error(2, "invalid", "load", half)
            self.assertIn("model-00002-of-00002.safetensors", error["file"])
            shutil.copy(self.weights, half / "model.safetensors")
            self.assertEqual(self.json("load", half)["bytes"], self.bytes)  # that is the model
            (half / "model.safetensors.index.json").symlink_to(half / "missing")
            error = self.error(2, "invalid", "load", half)
            self.assertIn("model.safetensors.index.json", error["file"])

    def test_a_url_out_of_its_place_is_not_printed(self):
        secret = "http://user:sEcret@h/?token=sEcret"
        for words in (("load", "a", secret), ("load", "a", "--memory", secret),
                      ("load", f"--bogus={secret}")):
            with self.subTest(words=words):
                done = self.run_it(*words)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertNotIn("sEcret", done.stdout + done.stderr)

    def test_a_flipped_byte_anywhere_is_caught_and_named(self):
        size = self.weights.stat().st_size
        for name, offset in (("model.safetensors", 20), ("model.safetensors", size // 2),
                             ("model.safetensors", size - 1), ("weighbridge.seal", 100)):
            with self.subTest(name=name, offset=offset), self.flipped(f"sealed/{name}", offset):
                error = self.error(CORRUPT, "corrupt", "load", f"{self.url}/sealed/")
                self.assertIn(name, error["file"])
                self.assertRegex(error["message"], "[0-9a-f]{64}")

    def test_wrong_pins_are_refused(self):
        for place in (self.scratch, self.url):
            for ref in (f"{place}/sealed/#sha256={ZEROS}",
                        f"{place}/plain/model.safetensors#sha256={ZEROS}",
                        f"{place}/plain/model.safetensors#blake3={ZEROS}"):
                with self.subTest(ref=ref):
                    self.error(CORRUPT, "corrupt", "load", ref)
            self.error(4, "not_found", "load", f"{place}/plain/#sha256={ZEROS}")
            self.error(2, "invalid", "load", f"{place}/sealed/#blake3={ZEROS}")

    def test_unproved_bytes_are_never_called_verified(self):
        done = self.run_it("load", f"{self.url}/plain/")
        self.assertIn("not verified: nobody vouches", done.stdout)
        self.assertNotIn("verified", done.stdout.replace("not verified", "")
                         .replace("lets them be verified", ""))


class Inspecting(Cli):
    def test_offsets_are_those_of_the_file(self):
        for ref in (self.plain, f"{self.url}/sealed/"):
            inspected = self.json("inspect", ref)
            data = self.weights.read_bytes()
            found = [{"name": tensor["name"], "dtype": tensor["dtype"], "shape": tensor["shape"],
                      "bytes": tensor["end"] - tensor["begin"],
                      "sha256": hashlib.sha256(data[tensor["begin"]:tensor["end"]]).hexdigest()}
                     for tensor in inspected["tensors"]]
            self.assertEqual(sorted(found, key=lambda tensor: tensor["name"]), self.expected)

    def test_files_carry_their_size_digest_and_proof(self):
        files = {file["path"]: file for file in self.json("inspect", self.sealed)["files"]}
        self.assertEqual(files["model.safetensors"],
                         {"path": "model.safetensors", "bytes": self.weights.stat().st_size,
                          "sha256": self.sha256(self.weights), "proof": "origin"})
        self.assertEqual(set(files), {"config.json", "model.safetensors"})
        files = {file["path"]: file for file in self.json("inspect", self.plain)["files"]}
        self.assertEqual(files["config.json"], {"path": "config.json", "bytes": 2, "proof": "none"})
        self.assertEqual(files["model.safetensors"]["proof"], "first_seen")

    def test_a_file_that_only_its_whole_can_prove_is_proved_before_it_is_shown(self):
        ref = f"{self.url}/plain/model.safetensors#sha256={self.sha256(self.weights)}"
        self.assertEqual(self.json("inspect", ref)["files"][0]["proof"], "pinned")
        with self.flipped("plain/model.safetensors", self.weights.stat().st_size - 1):
            self.error(CORRUPT, "corrupt", "inspect", ref)
            self.assertEqual(self.run_it("inspect", ref).stdout, "")


class Verifying(Cli):
    def test_missing_and_changed_files_fail_and_unlisted_ones_are_named(self):
        self.assertEqual(self.json("verify", self.sealed)["failed"], [])
        self.assertEqual(self.json("verify", f"{self.url}/sealed/")["proof"], "origin")
        directory = self.scratch_copy()
        with (directory / "model.safetensors").open("r+b") as file:
            file.seek(5 << 20)
            file.write(b"!")
        (directory / "config.json").unlink()
        (directory / "new.txt").touch()
        for ref in (directory, f"{self.url}/{directory.name}/"):
            with self.subTest(ref=ref):
                done = self.run_it("verify", ref, "--json")
                self.assertEqual(done.returncode, CORRUPT, done.stderr)
                result = json.loads(done.stdout)
                self.assertEqual([(failed["path"], failed["code"]) for failed in result["failed"]],
                                 [("config.json", "not_found"), ("model.safetensors", "corrupt")])
                self.assertEqual(json.loads(done.stderr)["code"], "corrupt")
        self.assertIn("not in the seal: new.txt", self.run_it("verify", directory).stdout)

    def test_an_executable_bit_that_changed_either_way_fails(self):
        directory = self.scratch_copy()
        file = directory / "config.json"
        for mode, is_set, was_set in ((0o755, "set", "not set"), (0o644, "not set", "set")):
            file.chmod(mode)
            done = self.run_it("verify", directory, "--json")
            self.assertEqual(done.returncode, CORRUPT, done.stderr)
            self.assertEqual([(failed["path"], failed["code"], failed["message"])
                              for failed in json.loads(done.stdout)["failed"]],
                             [("config.json", "corrupt",
                               f"the executable bit is {is_set}, the seal says {was_set}")])
            self.json("seal", directory)

    def test_without_seal_or_pin_there_is_nothing_to_compare_with(self):
        for ref in (self.plain, f"{self.url}/plain/"):
            self.assertIn("hint", self.error(2, "invalid", "verify", ref))


class Sealing(Cli):
    def test_sealing_again_writes_the_same_bytes_and_says_what_to_pin(self):
        directory = self.scratch_copy()
        os.utime(directory / "config.json", (1, 1))
        sealed = self.json("seal", directory)
        self.assertEqual(sealed["sha256"], self.seal_sha256)
        self.assertEqual(self.sha256(directory / "weighbridge.seal"), self.seal_sha256)
        self.assertEqual(sealed["files"], 2)
        self.assertEqual(sealed["bytes"], self.weights.stat().st_size + 2)

    def test_what_a_killed_seal_left_behind_becomes_no_file_of_the_next(self):
        directory = self.scratch_copy()
        left_behind = directory / ".weighbridge-tmp-weighbridge.seal-4711-0"
        left_behind.write_bytes((directory / "weighbridge.seal").read_bytes()[:100])
        verified = self.json("verify", directory)
        self.assertEqual((verified["failed"], verified["unlisted"]), ([], []))
        self.assertEqual(self.json("seal", directory)["sha256"], self.seal_sha256)
        self.assertNotIn(b"weighbridge-tmp", (directory / "weighbridge.seal").read_bytes())

    def test_what_cannot_be_sealed_is_named_and_nothing_is_written(self):
        directory = self.scratch_copy()
        (directory / "weighbridge.seal").unlink()
        (directory / "link").symlink_to(self.plain)
        self.assertIn("link", self.error(2, "invalid", "seal", directory)["message"])
        self.assertEqual({path.name for path in directory.iterdir()},
                         {"config.json", "model.safetensors", "link"})
        self.error(2, "invalid", "seal", f"{self.url}/plain/")
        self.error(2, "invalid", "seal", self.weights)


class Behaving(Cli):
    def test_bad_references_and_arguments_end_in_named_errors(self):
        self.error(4, "not_found", "load", self.scratch / "absent")
        self.error(4, "not_found", "load", f"{self.url}/absent/model.safetensors")
        self.error(4, "not_found", "load", f"{self.url}/absent/")
        self.error(2, "invalid", "load", "gopher://host/model")
        self.error(2, "invalid", "load", f"{self.plain}#sha256=12")
        self.error(2, "invalid", "load")
        self.error(2, "invalid", "frobnicate")
        self.error(2, "invalid", "load", self.plain, "--bogus")
        self.assertIn("s3://", self.error(7, "unsupported", "load", "s3://bucket/m")["message"])
        self.error(4, "not_found", "load", "qwen:latest")

    def test_credentials_are_never_printed(self):
        host = self.url.removeprefix("http://")
        for ref in (f"http://user:sesame@{host}/absent/?token=sesame",
                    f"http://user:sesame@{host}/sealed/?token=sesame"):
            done = self.run_it("load", ref, "--json")
            self.assertNotIn("sesame", done.stdout + done.stderr)

    def test_output_that_cannot_be_written_is_an_error(self):
        for command in ("load", "inspect", "verify"):
            with self.subTest(command=command):
                with open("/dev/full", "w") as full:
                    done = subprocess.run([WEIGHBRIDGE, command, self.sealed, "--json"],
                                          stdout=full, stderr=subprocess.PIPE, check=False)
                self.assertEqual(done.returncode, IO)
                read, write = os.pipe()
                os.close(read)
                done = subprocess.run([WEIGHBRIDGE, command, self.sealed, "--json"], stdout=write,
                                      stderr=subprocess.PIPE, check=False)
                os.close(write)
                self.assertEqual(done.returncode, IO)
                self.assertEqual(json.loads(done.stderr)["code"], "io")
                done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", WEIGHBRIDGE, command,
                                       f"{self.url}/sealed/"], check=False, capture_output=True,
                                      env=environment(self.scratch / "home"))
                self.assertEqual(done.returncode, IO)

    def test_the_first_interrupt_stops_in_order(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with socket.create_server(("127.0.0.1", 0)) as silent:
                url = f"http://127.0.0.1:{silent.getsockname()[1]}/model/"
                process = subprocess.Popen([WEIGHBRIDGE, "load", url, "--json"],
                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                           env=environment(self.scratch / "home"))
                connection, _ = silent.accept()
                with connection:
                    connection.recv(1)
                    process.send_signal(number)
                    out, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, CANCELLED)
            self.assertEqual(out, b"")
            self.assertEqual(json.loads(err)["code"], "cancelled")

    def test_a_hostile_name_does_not_reach_the_terminal(self):
        directory = self.scratch / "hostile"
        directory.mkdir()
        save_file({"a\x1b[2J\nb": numpy.zeros(1, numpy.uint8)}, directory / "model.safetensors")
        self.assertNotIn("\x1b", self.run_it("inspect", directory).stdout)
        self.assertEqual(self.json("inspect", directory)["tensors"][0]["name"], "a\x1b[2J\nb")

    def test_a_terminal_is_left_as_it_was(self):
        leader, follower = pty.openpty()
        done = subprocess.run([WEIGHBRIDGE, "load", self.sealed], stdout=subprocess.PIPE,
                              stderr=follower, check=False)
        os.close(follower)
        self.assertEqual(done.returncode, 0)
        try:
            shown = os.read(leader, 1 << 16)
        except OSError:  # nothing was drawn: it was too quick
            shown = b""
        os.close(leader)
        self.assertTrue(shown == b"" or shown.endswith(b"\r\x1b[K"), shown)


if __name__ == "__main__":
    WEIGHBRIDGE, FAULT_SERVER = sys.argv[1:3]
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
