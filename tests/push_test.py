"""`weighbridge push` as a whole program, against the registries that install here: read back by
other people's tools, stopped, killed at random points, logged in and out.

usage: tests/push_test.py WEIGHBRIDGE ARTIFACT_CHECK REGISTRY_TOOLS [unittest arguments]

WB_KILLS says how often a push is killed in each registry (5).
"""

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import oci_interop_test as interop
from oci_interop_test import REGISTRIES, TOOLS, environment, files_of, make_model, registry

WEIGHBRIDGE = None  # from the command line
KILLS = int(os.environ.get("WB_KILLS", "5"))
SHARD_BYTES = 24 << 20
SHARDS = 4
# A PATCH may be sent twice at each of the uploads that were on their way.
TWICE_BYTES = SHARDS * SHARD_BYTES
SLACK_BYTES = 1 << 20  # heads, and the seal


class Counter:
    """Passes connections on to a port, and counts the bytes that go there."""

    def __init__(self, port):
        self.to = port
        self.sent = 0
        self.lock = threading.Lock()
        self.passing = []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            upstream = socket.create_connection(("127.0.0.1", self.to))
            for source, target, counts in ((client, upstream, True), (upstream, client, False)):
                self.passing.append(threading.Thread(
                    target=self.pass_on, args=(source, target, counts), daemon=True))
                self.passing[-1].start()

    def pass_on(self, source, target, counts):
        try:
            while data := source.recv(1 << 18):
                target.sendall(data)
                if counts:
                    with self.lock:
                        self.sent += len(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def settle(self):
        """Until what a dead process sent has reached the registry, which then knows of the end."""
        while self.passing:
            self.passing.pop().join(30)

    def taken(self):
        """The bytes since the last look."""
        with self.lock:
            sent, self.sent = self.sent, 0
        return sent

    def close(self):
        self.server.close()


def make_large_model(directory):
    directory.mkdir()
    noise = random.Random(7)
    for i in range(SHARDS):
        header = json.dumps({f"t{i}": {"dtype": "U8", "shape": [SHARD_BYTES],
                                       "data_offsets": [0, SHARD_BYTES]}}).encode()
        name = f"model-{i + 1:05}-of-{SHARDS:05}.safetensors"
        (directory / name).write_bytes(
            len(header).to_bytes(8, "little") + header + noise.randbytes(SHARD_BYTES))
    (directory / "config.json").write_text('{"model_type": "llama"}')


class Push(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.model = cls.scratch / "model"
        make_model(cls.model)
        cls.large = cls.scratch / "large"
        make_large_model(cls.large)
        sealed = cls.scratch / "sealed"
        shutil.copytree(cls.model, sealed)
        subprocess.run([WEIGHBRIDGE, "seal", sealed, "-q"], check=True, capture_output=True,
                       env=environment())
        cls.expected = files_of(sealed)

    def setUp(self):
        self.work = Path(self.enterContext(tempfile.TemporaryDirectory(dir=self.scratch)))
        (self.work / "home").mkdir()
        self.env = environment(HOME=str(self.work / "home"),
                               WEIGHBRIDGE_HOME=str(self.work / "home/weighbridge"),
                               DOCKER_CONFIG=str(self.work / "home/docker"))

    def weighbridge(self, *arguments, status=0, **more):
        done = subprocess.run([WEIGHBRIDGE, *map(str, arguments)], capture_output=True, text=True,
                              env=self.env, timeout=120, **more)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def push(self, directory, reference):
        return json.loads(self.weighbridge("push", directory, f"oci://{reference}",
                                           "--json").stdout)

    def tool(self, name, *arguments):
        if name not in TOOLS:
            self.skipTest(f"{name}: {interop.MISSING.get(name)}")
        done = subprocess.run([TOOLS[name], *map(str, arguments)], capture_output=True, text=True,
                              cwd=self.work, env=self.env, timeout=300)
        self.assertEqual(done.returncode, 0, f"{name} {arguments}: {done.stderr}{done.stdout}")
        return done.stdout

    def in_each_registry(self, use, but=()):
        for name, kind in REGISTRIES.items():
            if name in but:
                continue
            with self.subTest(registry=name):
                if kind not in TOOLS:
                    continue
                directory = Path(tempfile.mkdtemp(dir=self.work))
                with registry(kind, directory) as host:
                    use(host, directory)

    @staticmethod
    def uploads_left(directory):
        # What is left of a cancelled one in distribution 3 is a folder without data.
        return list((directory / "store").rglob("_uploads/*/data"))

    def test_every_tool_reads_what_was_pushed(self):
        def use(host, directory):
            reference = f"{host}/org/model:v1"
            digest = self.push(self.model, reference)["digest"]
            self.tool("oras", "pull", "--plain-http", reference, "-o", directory / "oras")
            self.assertEqual(files_of(directory / "oras"), self.expected)
            self.tool("modctl", "pull", reference, "--plain-http", "--extract-from-remote",
                      "--extract-dir", directory / "modctl", "--no-progress")
            self.assertEqual(files_of(directory / "modctl"), self.expected)
            self.assertEqual(self.tool("crane", "digest", "--insecure", reference).strip(), digest)
            self.tool("crane", "pull", "--insecure", "--format=oci", reference,
                      directory / "crane")
            self.tool("regctl", "registry", "set", host, "--tls", "disabled")
            self.assertEqual(self.tool("regctl", "image", "digest", reference).strip(), digest)
            self.tool("skopeo", "copy", "--src-tls-verify=false", f"docker://{reference}",
                      f"oci:{directory / 'skopeo'}:v1")
            index = json.loads((directory / "skopeo/index.json").read_bytes())
            self.assertEqual(index["manifests"][0]["digest"], digest)
            self.assertEqual(self.uploads_left(directory), [])
        self.in_each_registry(use)

    def test_pushing_gives_the_digest_that_packing_gives(self):
        packed = json.loads(self.weighbridge("pack", self.model, "--to", "oci-layout",
                                             self.work / "layout", "--json").stdout)

        def use(host, directory):
            self.assertEqual(self.push(self.model, f"{host}/org/model:v1")["digest"],
                             packed["digest"])
        self.in_each_registry(use)

    def test_a_second_push_sends_what_is_new_alone(self):
        def use(host, directory):
            model = directory / "model"
            shutil.copytree(self.model, model)
            first = self.push(model, f"{host}/org/model:v1")
            again = self.push(model, f"{host}/org/model:v1")
            self.assertEqual((again["changed"], again["sent_bytes"]), (False, 0))
            self.assertEqual(again["digest"], first["digest"])
            (model / "LICENSE").write_text("MIT\n")
            changed = self.push(model, f"{host}/org/model:v1")
            self.assertEqual([file["path"] for file in changed["files"] if file["how"] == "sent"],
                             ["LICENSE"])
        self.in_each_registry(use)

    def test_straight_through_gives_the_same_digest(self):
        def use(host, directory):
            first = self.push(self.model, f"{host}/org/model:v1")
            through = self.push(f"oci://{host}/org/model:v1", f"{host}/org/other:v1")
            self.assertEqual(through["digest"], first["digest"])
            self.assertEqual({file["how"] for file in through["files"]}, {"mounted"})
        self.in_each_registry(use)

    def push_killed(self, after, target):
        """Did it end before it was killed?"""
        process = subprocess.Popen([WEIGHBRIDGE, "push", "-q", self.large, f"oci://{target}"],
                                   env=self.env, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.kill()
        return process.wait() == 0

    def is_whole_or_absent(self, target):
        """A kill may also come after the tag was put, and before the program ended."""
        done = subprocess.run([WEIGHBRIDGE, "verify", "-q", f"oci://{target}"], env=self.env,
                              capture_output=True, text=True, check=False)
        self.assertIn(done.returncode, (0, 4), done.stderr)

    def kill_and_repeat(self, host, directory, resumes):
        chance = random.Random(11)
        counter = Counter(int(host.split(":")[1]))
        began = time.monotonic()
        whole = self.push(self.large, f"{counter.host}/org/whole:v1")
        took = time.monotonic() - began
        once = counter.taken()
        for i in range(KILLS):
            target = f"{counter.host}/org/killed-{i}:v1"
            if not self.push_killed(chance.uniform(0, 1) * took, target):
                self.is_whole_or_absent(target)
            counter.settle()
            again = self.push(self.large, target)
            self.assertEqual(again["digest"], whole["digest"])
            sent = counter.taken()
            if resumes:
                self.assertLessEqual(sent, once + TWICE_BYTES + SLACK_BYTES)
            self.weighbridge("verify", f"oci://{target}", "-q")
            counter.taken()
        counter.close()

    def test_killed_at_any_point_it_leaves_no_tag_and_the_next_goes_on(self):
        self.in_each_registry(lambda *where: self.kill_and_repeat(*where, True),
                              but=["docker-registry"])

    def test_killed_at_any_point_it_leaves_no_tag_where_no_upload_can_be_resumed(self):
        # 2.8.2 neither resumes nor cancels an upload whose PATCH was cut off.
        self.in_each_registry(lambda *where: self.kill_and_repeat(*where, False),
                              but=["distribution"])

    def test_ctrl_c_stops_it_in_order(self):
        def use(host, directory):
            process = subprocess.Popen([WEIGHBRIDGE, "push", "-q", self.large,
                                        f"oci://{host}/org/model:v1"], env=self.env,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                       text=True)
            while process.poll() is None and not self.uploads_left(directory):
                pass
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
            self.assertEqual(process.returncode, 130, errors)
            # What it cancels may come back where the registry is still at a PATCH that was cut off;
            # that it does cancel is shown against the strict fake.
        self.in_each_registry(use)

    def test_what_cannot_be_pushed_is_refused_at_once(self):
        def use(host, directory):
            refused = self.weighbridge("push", self.model, f"oci://{host}/Upper:v1", status=2)
            self.assertIn("lower-case", refused.stderr)
            self.weighbridge("push", self.work / "nothing", f"oci://{host}/m:v1", status=4)
            (directory / "link").mkdir()
            (directory / "link/to").symlink_to("nowhere")
            self.weighbridge("push", directory / "link", f"oci://{host}/m:v1", status=2)
            empty = directory / "empty"
            empty.mkdir()
            self.weighbridge("push", empty, f"oci://{host}/m:v1", status=4)
        self.in_each_registry(use)

    def test_a_report_that_nobody_reads_is_an_error(self):
        def use(host, directory):
            with open("/dev/full", "w", encoding="utf-8") as full:
                done = subprocess.run([WEIGHBRIDGE, "push", self.model, f"oci://{host}/m:v1"],
                                      stdout=full, stderr=subprocess.DEVNULL, env=self.env)
            self.assertEqual(done.returncode, 12)
        self.in_each_registry(use)

    def test_a_registry_with_a_password_wants_a_login(self):
        if "registry" not in TOOLS:
            self.skipTest("distribution")
        port = interop.free_port()
        config = self.work / "registry.yml"
        config.write_text(interop.CONFIG.replace("level: error", "level: info")
                          % (self.work / "store", port)
                          + f"auth: {{htpasswd: {{realm: basic, path: {self.work}/htpasswd}}}}\n")
        log = self.work / "registry.log"
        with log.open("wb") as out, subprocess.Popen(
                [TOOLS["registry"], "serve", config], stdout=out, stderr=out,
                env=environment()) as process:
            try:
                found = None
                while found is None and process.poll() is None:
                    found = re.search(r"password[\"=: ]+([A-Za-z0-9_=-]{20,})", log.read_text())
                while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
                    pass
                self.logging_in(f"127.0.0.1:{port}", found.group(1))
            finally:
                process.terminate()

    def logging_in(self, host, password):
        target = f"oci://{host}/org/model:v1"
        began = time.monotonic()
        denied = self.weighbridge("push", self.model, target, status=6)
        self.assertIn(host, denied.stderr)
        self.assertLess(time.monotonic() - began, 5)
        self.weighbridge("login", host, "-u", "docker", "--password-stdin", input="wrong\n",
                         status=6)
        self.weighbridge("login", host, "-u", "docker", input=password, status=2)
        self.weighbridge("login", host, "-u", "docker", "--password-stdin", input=password + "\n")
        config = self.work / "home/docker/config.json"
        self.assertEqual(config.stat().st_mode & 0o777, 0o600)
        self.weighbridge("push", self.model, target)
        self.tool("oras", "pull", "--plain-http", target.removeprefix("oci://"), "-o",
                  self.work / "out")
        self.weighbridge("logout", host)
        self.weighbridge("push", self.model, target, status=6)


if __name__ == "__main__":
    WEIGHBRIDGE = sys.argv.pop(1)
    sys.argv.pop(1)
    interop.find_tools(sys.argv.pop(1))
    if interop.MISSING and "WB_REQUIRE_REGISTRY_TOOLS" in os.environ:
        sys.exit(f"missing: {', '.join(interop.MISSING)}")
    unittest.main()
