"""Artifacts of ours read by other people's tools through a registry, and theirs read by us: what
installs here (tools/registry-tools), one registry after the other, and what a script writes.

usage: tests/oci_interop_test.py WEIGHBRIDGE ARTIFACT_CHECK REGISTRY_TOOLS [unittest arguments]

A tool that cannot be had is listed and not run; with WB_REQUIRE_REGISTRY_TOOLS set (as CI does)
it is a failure.
"""

import contextlib
import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

WEIGHBRIDGE = ARTIFACT_CHECK = None  # from the command line
TOOLS = {}          # name to path
MISSING = {}        # name to the reason
REGISTRIES = {"docker-registry": "docker-registry", "distribution": "registry"}
FIXTURES = Path(__file__).resolve().parent.parent / "tools/artifact_fixtures.py"
CONFIG = """version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}
http: {addr: 127.0.0.1:%d}
"""
SCHEMA_MEMBERS = {
    "descriptor": {"createdAt", "authors", "family", "name", "docURL", "sourceURL", "datasetsURL",
                   "version", "revision", "vendor", "licenses", "title", "description"},
    "config": {"architecture", "format", "paramSize", "precision", "quantization", "capabilities"},
    "modelfs": {"type", "diffIds"}}


def environment(**more):
    """Without what would send loopback requests elsewhere, or read somebody's configuration."""
    kept = {name: value for name, value in os.environ.items()
            if not name.lower().endswith("proxy")}
    return kept | {"OTEL_TRACES_EXPORTER": "none"} | more


def find_tools(script):
    listed = subprocess.run([script, "--list"], check=True, capture_output=True, text=True).stdout
    for line in listed.splitlines():
        name, path, *why = line.split("\t")
        if path == "-":
            MISSING[name] = why[0]
            print(f"not run: {name}: {why[0]}", file=sys.stderr)
        else:
            TOOLS[name] = path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def registry(kind, directory):
    """A registry of that kind with an empty store; gives host:port."""
    port = free_port()
    config = directory / "registry.yml"
    config.write_text(CONFIG % (directory / "store", port))
    log = (directory / "registry.log").open("wb")
    process = subprocess.Popen([TOOLS[kind], "serve", config], stdout=log, stderr=log,
                               env=environment())
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=5).close()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                process.poll()
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
        log.close()


def make_model(directory):
    """A small model: two shards with valid headers, an executable file, an empty one, and a path."""
    directory.mkdir(parents=True)
    for i in range(2):
        header = json.dumps({f"t{i}": {"dtype": "BF16", "shape": [1500, 700],
                                       "data_offsets": [0, 2_100_000]}}).encode()
        body = hashlib.shake_128(str(i).encode()).digest(2_100_000)
        name = f"model-{i + 1:05}-of-00002.safetensors"
        (directory / name).write_bytes(len(header).to_bytes(8, "little") + header + body)
    index = {"metadata": {}, "weight_map": {f"t{i}": f"model-{i + 1:05}-of-00002.safetensors"
                                            for i in range(2)}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    (directory / "config.json").write_text(
        '{"model_type": "llama", "transformers_version": "4.40.0"}')
    (directory / "LICENSE").write_text("Apache-2.0\n")
    (directory / "empty.txt").write_bytes(b"")
    (directory / "sub").mkdir()
    (directory / "sub/run.sh").write_text("#!/bin/sh\n")
    (directory / "sub/run.sh").chmod(0o755)
    (directory / "weighbridge.yaml").write_text(
        "name: tiny\nlicenses: [Apache-2.0]\nframework: PyTorch\n"
        'metrics: {eval: [{name: acc, value: "0.95"}]}\n')


def files_of(directory):
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(directory.rglob("*")) if path.is_file()}


class Interop(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.model = cls.scratch / "model"
        make_model(cls.model)
        cls.layout = cls.scratch / "layout"
        packed = subprocess.run([WEIGHBRIDGE, "pack", cls.model, "--to", "oci-layout", cls.layout,
                                 "--tag", "v1", "--json"], check=True, capture_output=True,
                                env=environment())
        cls.packed = json.loads(packed.stdout)
        # What a tool that knows only files gives back: the files, and their seal.
        cls.expected = files_of(cls.model) | {"weighbridge.seal": cls.packed["seal_sha256"]}

    def setUp(self):
        self.work = Path(self.enterContext(tempfile.TemporaryDirectory(dir=self.scratch)))
        # Tools keep stores and logins in the home directory.
        self.home = environment(HOME=str(self.work / "home"),
                                WEIGHBRIDGE_HOME=str(self.work / "store"))
        (self.work / "home").mkdir()

    def tool(self, name, *arguments):
        if name not in TOOLS:
            self.skipTest(f"{name}: {MISSING.get(name)}")
        done = subprocess.run([TOOLS[name], *map(str, arguments)], capture_output=True, text=True,
                              cwd=self.work, env=self.home, timeout=300)
        self.assertEqual(done.returncode, 0, f"{name} {arguments}: {done.stderr}{done.stdout}")
        return done.stdout

    def in_each_registry(self, use):
        for name, kind in REGISTRIES.items():
            with self.subTest(registry=name):
                if kind not in TOOLS:
                    continue
                directory = Path(tempfile.mkdtemp(dir=self.work))
                with registry(kind, directory) as host:
                    use(host, directory)

    def push(self, host):
        """The layout into the registry, by oras; the reference it has there."""
        reference = f"{host}/org/model:v1"
        self.tool("oras", "cp", "--from-oci-layout", f"{self.layout}:v1", "--to-plain-http",
                  reference)
        return reference

    def assert_model(self, directory):
        self.assertEqual(files_of(directory), self.expected)
        verified = subprocess.run([WEIGHBRIDGE, "verify", directory, "-q"], capture_output=True,
                                  env=environment())
        self.assertEqual(verified.returncode, 0, verified.stderr)

    def manifest(self):
        blobs = self.layout / "blobs/sha256"
        digest = self.packed["digest"].removeprefix("sha256:")
        return json.loads((blobs / digest).read_bytes())

    def fetch(self, reference, directory):
        """Somebody's artifact out of the registry, as we read it: who wrote it, and its files."""
        self.tool("oras", "cp", "--from-plain-http", reference, "--to-oci-layout",
                  f"{directory}:got")
        return self.read(directory, "got")

    def read(self, layout, tag):
        done = subprocess.run([ARTIFACT_CHECK, layout, tag], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)
        read = json.loads(done.stdout)
        return read["layout"], read["files"]

    def test_a_layout_holds_what_the_image_specification_says(self):
        for blob in (self.layout / "blobs/sha256").iterdir():
            self.assertEqual(hashlib.sha256(blob.read_bytes()).hexdigest(), blob.name)
        index = json.loads((self.layout / "index.json").read_bytes())
        entry, = index["manifests"]
        self.assertEqual(entry["digest"], self.packed["digest"])
        self.assertEqual(entry["annotations"]["org.opencontainers.image.ref.name"], "v1")

    def test_the_config_is_what_the_schema_of_modelpack_allows(self):
        manifest = self.manifest()
        digest = manifest["config"]["digest"].removeprefix("sha256:")
        config = json.loads((self.layout / "blobs/sha256" / digest).read_bytes())
        self.assertEqual(set(config), set(SCHEMA_MEMBERS))
        for name, members in SCHEMA_MEMBERS.items():
            self.assertLessEqual(set(config[name]), members)
        self.assertEqual(config["modelfs"]["type"], "layers")
        self.assertEqual(config["modelfs"]["diffIds"],
                         [layer["digest"] for layer in manifest["layers"]])
        self.assertEqual(config["config"], {"architecture": "transformer", "format": "safetensors",
                                            "paramSize": "2.1m", "precision": "bfloat16"})
        self.assertEqual(config["descriptor"], {"family": "llama", "name": "tiny",
                                                "licenses": ["Apache-2.0"]})

    def test_oras_pulls_a_sealed_directory(self):
        def use(host, directory):
            self.tool("oras", "pull", "--plain-http", self.push(host), "-o", directory / "out")
            (directory / "out/sub/run.sh").chmod(0o755)  # oras keeps no modes
            self.assert_model(directory / "out")
        self.in_each_registry(use)

    def test_modctl_pulls_a_sealed_directory(self):
        def use(host, directory):
            self.tool("modctl", "pull", self.push(host), "--plain-http", "--extract-from-remote",
                      "--extract-dir", directory / "out", "--no-progress")
            self.assert_model(directory / "out")
        self.in_each_registry(use)

    def test_skopeo_copies_it_and_keeps_its_digest(self):
        def use(host, directory):
            self.tool("skopeo", "copy", "--src-tls-verify=false", f"docker://{self.push(host)}",
                      f"oci:{directory / 'copy'}:v1")
            index = json.loads((directory / "copy/index.json").read_bytes())
            self.assertEqual(index["manifests"][0]["digest"], self.packed["digest"])
        self.in_each_registry(use)

    def test_crane_knows_its_digest_and_takes_the_layout(self):
        def use(host, directory):
            self.assertEqual(self.tool("crane", "digest", "--insecure", self.push(host)).strip(),
                             self.packed["digest"])
            self.tool("crane", "push", "--insecure", self.layout, f"{host}/org/again:v1")
            self.assertEqual(
                self.tool("crane", "digest", "--insecure", f"{host}/org/again:v1").strip(),
                self.packed["digest"])
        self.in_each_registry(use)

    def test_regctl_copies_the_layout(self):
        def use(host, directory):
            self.tool("regctl", "registry", "set", host, "--tls", "disabled")
            self.tool("regctl", "image", "copy", f"ocidir://{self.layout}:v1",
                      f"{host}/org/model:v1")
            self.assertEqual(self.tool("regctl", "image", "digest", f"{host}/org/model:v1").strip(),
                             self.packed["digest"])
        self.in_each_registry(use)

    def test_what_oras_pushes_is_read(self):
        def use(host, directory):
            shutil.copytree(self.model, self.work, dirs_exist_ok=True)  # where tools run
            self.tool("oras", "push", "--plain-http", f"{host}/their/files:v1", "config.json",
                      "sub")
            layout, files = self.fetch(f"{host}/their/files:v1", directory / "layout")
            self.assertEqual(layout, "files")
            self.assertEqual(files["sub/run.sh"], self.expected["sub/run.sh"])
            self.assertEqual(files["config.json"], self.expected["config.json"])
        self.in_each_registry(use)

    def test_what_modctl_builds_is_read(self):
        def use(host, directory):
            source = directory / "source"
            shutil.copytree(self.model, source)
            (source / "Modelfile").write_text(
                "NAME tiny\nCONFIG config.json\nCONFIG *.index.json\nMODEL *.safetensors\n"
                "CODE sub/run.sh\nDOC LICENSE\n")
            for raw in ("true", "false"):
                reference = f"{host}/their/model:raw-{raw}"
                self.tool("modctl", "build", "-t", reference, "-f", source / "Modelfile", source,
                          "--output-remote", "--plain-http", f"--raw={raw}", "--no-progress")
                layout, files = self.fetch(reference, directory / f"layout-{raw}")
                self.assertEqual(layout, "modelpack")
                self.assertEqual(files, {path: digest for path, digest in self.expected.items()
                                         if path in files})
                self.assertEqual(len(files), 6)
        self.in_each_registry(use)

    def weighbridge(self, *arguments):
        done = subprocess.run([WEIGHBRIDGE, *map(str, arguments)], capture_output=True, text=True,
                              env=self.home, timeout=300)
        self.assertEqual(done.returncode, 0, f"{arguments}: {done.stderr}")
        return done.stdout

    def test_tensors_load_straight_from_a_registry(self):
        def digests(loaded):
            return {tensor["name"]: tensor["sha256"] for tensor in loaded["tensor_digests"]}

        local = digests(json.loads(self.weighbridge("load", self.model, "--digests", "--json")))

        def use(host, directory):
            reference = self.push(host)
            shutil.copytree(self.model, directory / "their", dirs_exist_ok=True)
            subprocess.run([TOOLS["oras"], "push", "--plain-http", f"{host}/their/files:v1",
                            *sorted(path.name for path in self.model.glob("*.safetensors*"))],
                           cwd=directory / "their", env=self.home, check=True, capture_output=True)
            by_digest = reference.removesuffix(":v1") + "@" + self.packed["digest"]
            for name, proof in ((reference, "origin"), (by_digest, "pinned"),
                                (f"{host}/their/files:v1", "origin")):
                loaded = json.loads(self.weighbridge("load", f"oci://{name}", "--digests",
                                                     "--json"))
                self.assertEqual(digests(loaded), local)
                self.assertEqual(loaded["proof"][proof], loaded["bytes"])
                self.weighbridge("verify", f"oci://{name}")
            inspected = json.loads(self.weighbridge("inspect", f"oci://{reference}", "--json"))
            self.assertEqual({file["path"]: file["sha256"] for file in inspected["files"]},
                             {path: digest for path, digest in self.expected.items()
                              if path != "weighbridge.seal"})
        self.in_each_registry(use)

    def pull(self, reference):
        """What a pull makes of it; the store holds nothing half-done afterwards."""
        pulled = json.loads(self.weighbridge("pull", f"oci://{reference}", "--json"))
        self.assertEqual(list((self.work / "store").glob("unpacking/*")), [])
        self.assertEqual(pulled["proof"], "pinned" if "@" in reference else "origin")
        return pulled

    def test_pull_gives_what_was_packed_and_fetches_it_once(self):
        def use(host, directory):
            shutil.rmtree(self.work / "store", ignore_errors=True)
            reference = self.push(host)
            pulled = self.pull(reference)
            files = {path: digest for path, digest in self.expected.items()
                     if path != "weighbridge.seal"}
            self.assertEqual(files_of(Path(pulled["directory"])), files)
            self.assertTrue(os.access(Path(pulled["directory"]) / "sub/run.sh", os.X_OK))
            self.assertEqual(pulled["seal_sha256"], self.packed["seal_sha256"])
            again = self.pull(reference.removesuffix(":v1") + "@" + self.packed["digest"])
            self.assertEqual(again["fetched_bytes"], 0)
            self.assertEqual(again["content_id"], pulled["content_id"])
        self.in_each_registry(use)

    def test_pull_unpacks_what_modctl_builds(self):
        def use(host, directory):
            source = directory / "source"
            shutil.copytree(self.model, source)
            (source / "Modelfile").write_text("NAME tiny\nCONFIG config.json\n"
                                              "MODEL *.safetensors\nCODE sub/run.sh\n")
            for raw in ("true", "false"):
                reference = f"{host}/their/model:raw-{raw}"
                self.tool("modctl", "build", "-t", reference, "-f", source / "Modelfile", source,
                          "--output-remote", "--plain-http", f"--raw={raw}", "--no-progress")
                files = files_of(Path(self.pull(reference)["directory"]))
                self.assertEqual(files, {path: self.expected[path] for path in files})
                self.assertEqual(len(files), 4)
        self.in_each_registry(use)

    def test_pull_unpacks_the_layouts_of_ormb_kitops_docker_and_ollama(self):
        made = subprocess.run([FIXTURES, self.work / "made"], check=True, capture_output=True)

        def use(host, directory):
            for tag, files in json.loads(made.stdout).items():
                reference = f"{host}/their/made:{tag}"
                self.tool("oras", "cp", "--from-oci-layout", f"{self.work}/made:{tag}",
                          "--to-plain-http", reference)
                self.assertEqual(files_of(Path(self.pull(reference)["directory"])), files)
                inspected = self.run_json("inspect", f"oci://{reference}") \
                    if tag.startswith(("ormb", "kitops")) else None
                if inspected:
                    self.assertEqual(inspected["artifact"]["layout"], tag.split("-")[0])
        self.in_each_registry(use)

    def run_json(self, *arguments):
        return json.loads(self.weighbridge(*arguments, "--json"))

    def test_tags_and_attachments_are_what_oras_and_crane_see(self):
        def use(host, directory):
            reference = self.push(host)
            self.weighbridge("tag", f"oci://{reference}", "best")
            self.assertEqual(self.tool("crane", "digest", "--insecure",
                                       reference.replace(":v1", ":best")).strip(),
                             self.packed["digest"])
            (self.work / "report.json").write_text("{}")
            self.tool("oras", "attach", "--plain-http", "--artifact-type",
                      "application/vnd.example.report", reference, "report.json")
            found, = self.run_json("discover", f"oci://{reference}")["referrers"]
            self.assertEqual(found["artifact_type"], "application/vnd.example.report")
        self.in_each_registry(use)

    def test_cp_keeps_every_byte_in_every_direction(self):
        def use(host, directory):
            reference = self.push(host)
            copies = (f"oci://{host}/org/mounted:v1", f"oci-layout:{directory}/copy:v1")
            for copy in copies:
                copied = self.run_json("cp", f"oci://{reference}", copy)
                self.assertEqual(copied["digest"], self.packed["digest"])
            # Mounted: nothing was sent.
            self.assertEqual(self.run_json("cp", f"oci://{reference}",
                                           f"oci://{host}/org/mounted:v2")["sent_bytes"], 0)
            self.run_json("cp", copies[1], f"oci://{host}/from/layout:v1")
            for repository in ("org/mounted", "from/layout"):
                self.assertEqual(self.tool("crane", "digest", "--insecure",
                                           f"{host}/{repository}:v1").strip(),
                                 self.packed["digest"])
            self.tool("oras", "pull", "--plain-http", f"{host}/from/layout:v1", "-o",
                      directory / "out")
            (directory / "out/sub/run.sh").chmod(0o755)
            self.assert_model(directory / "out")
        self.in_each_registry(use)

    def test_what_we_attach_oras_discovers(self):
        def use(host, directory):
            reference = self.push(host)
            (self.work / "eval.json").write_text('{"acc": 1}')
            attached = self.run_json("attach", f"oci://{reference}", self.work / "eval.json",
                                     "--type", "application/vnd.example.eval")
            self.assertEqual(attached["subject"], self.packed["digest"])
            seen = json.loads(self.tool("oras", "discover", "--plain-http", "--format", "json",
                                        reference))
            listed, = seen.get("referrers") or seen["manifests"]
            self.assertEqual(listed["digest"], attached["digest"])
            self.tool("oras", "pull", "--plain-http",
                      attached["ref"].removeprefix("oci://"), "-o", directory / "out")
            self.assertEqual((directory / "out/eval.json").read_text(), '{"acc": 1}')
        self.in_each_registry(use)

    def test_a_pull_that_is_killed_at_any_moment_leaves_nothing_wrong(self):
        """A bounded slice of what WB_KILLS=100 does: killed, nothing partial has a final name; then
        the repetition succeeds and gives the same files."""
        kills = int(os.environ.get("WB_KILLS", "10"))
        chance = random.Random(7)

        def use(host, directory):
            reference = "oci://" + self.push(host)
            expected = {path: digest for path, digest in self.expected.items()
                        if path != "weighbridge.seal"}
            store = self.work / "store"
            began = time.monotonic()
            self.weighbridge("pull", reference)
            whole = time.monotonic() - began
            for _ in range(kills):
                shutil.rmtree(store, ignore_errors=True)
                pull = subprocess.Popen([WEIGHBRIDGE, "pull", reference, "-q"], env=self.home,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                try:
                    pull.wait(chance.uniform(0, whole))
                except subprocess.TimeoutExpired:
                    pull.kill()
                    pull.wait()
                for blob in store.glob("blobs/*/*"):
                    self.assertIn(hashlib.sha256(blob.read_bytes()).hexdigest(),
                                  expected.values())
                for snapshot in store.glob("snapshots/*"):
                    if len(snapshot.name) == 64:
                        self.assertEqual(files_of(snapshot), expected)
                again = json.loads(self.weighbridge("pull", reference, "--json"))
                self.assertEqual(files_of(Path(again["directory"])), expected)
        self.in_each_registry(use)

    def test_what_cannot_be_installed_here_is_read_from_its_documented_layout(self):
        made = subprocess.run([FIXTURES, self.work / "made"], check=True, capture_output=True)
        expected = json.loads(made.stdout)
        for tag, files in expected.items():
            with self.subTest(tag=tag):
                layout, read = self.read(self.work / "made", tag)
                self.assertEqual(layout, tag.split("-")[0])
                self.assertEqual(read, files)

    def test_registries_and_tools_take_the_documented_layouts_for_artifacts(self):
        made = subprocess.run([FIXTURES, self.work / "made"], check=True, capture_output=True)
        expected = json.loads(made.stdout)

        def use(host, directory):
            for tag, files in expected.items():
                self.tool("oras", "cp", "--from-oci-layout", f"{self.work}/made:{tag}",
                          "--to-plain-http", f"{host}/their/made:{tag}")
                self.tool("skopeo", "inspect", "--raw", "--tls-verify=false",
                          f"docker://{host}/their/made:{tag}")
                self.assertEqual(self.fetch(f"{host}/their/made:{tag}", directory / tag)[1], files)
        self.in_each_registry(use)

    def test_packing_again_elsewhere_gives_the_same_digest(self):
        copy = self.work / "copy"
        shutil.copytree(self.model, copy, copy_function=shutil.copyfile)
        (copy / "sub/run.sh").chmod(0o700)
        for path in copy.rglob("*"):
            os.utime(path, (0, 0))
        again = subprocess.run([WEIGHBRIDGE, "pack", copy, "--to", "oci-layout",
                                self.work / "again", "--json"], check=True, capture_output=True,
                               env=environment(TZ="Asia/Kathmandu"), umask=0o077)
        self.assertEqual(json.loads(again.stdout)["digest"], self.packed["digest"])

    def test_init_writes_what_pack_then_reads(self):
        copy = self.work / "copy"
        shutil.copytree(self.model, copy)
        refused = subprocess.run([WEIGHBRIDGE, "init", copy], capture_output=True,
                                 env=environment())
        self.assertNotEqual(refused.returncode, 0)
        subprocess.run([WEIGHBRIDGE, "init", copy, "--force"], check=True, capture_output=True,
                       env=environment())
        text = (copy / "weighbridge.yaml").read_text()
        self.assertIn('family: "llama"', text)
        self.assertIn('paramSize: "2.1m"', text)
        subprocess.run([WEIGHBRIDGE, "pack", copy, "--to", "oci-layout", self.work / "out"],
                       check=True, capture_output=True, env=environment())


if __name__ == "__main__":
    WEIGHBRIDGE, ARTIFACT_CHECK = sys.argv.pop(1), sys.argv.pop(1)
    find_tools(sys.argv.pop(1))
    if MISSING and "WB_REQUIRE_REGISTRY_TOOLS" in os.environ:
        sys.exit(f"missing: {', '.join(MISSING)}")
    unittest.main()
