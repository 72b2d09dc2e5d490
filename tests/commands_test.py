"""Every command in every plight, over the built program: it succeeds, it is given a bad reference,
it may not, the disk is full, it is interrupted, nobody reads what it prints. And what the commands of
the store do to a store.

usage: tools/python-env tests/commands_test.py WEIGHBRIDGE FAULT_SERVER [unittest arguments]
"""

import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

from blake3 import blake3

WEIGHBRIDGE = FAULT_SERVER = None  # from the command line
INVALID, CORRUPT, NOT_FOUND, DENIED, EXHAUSTED, BUSY, IO, CANCELLED = 2, 3, 4, 6, 8, 9, 12, 130
# A name that no test makes.
ABSENT = "absent-from-this-machine"


def environment(home):
    """Without what would send loopback requests elsewhere, and with a home of one's own."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("proxy")}
    return {**kept, "WEIGHBRIDGE_HOME": str(home)}


class Commands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.model = cls.scratch / "model"
        cls.make_model(cls.model, b"a")
        cls.server = subprocess.Popen([FAULT_SERVER, cls.scratch], stdout=subprocess.PIPE, text=True)
        cls.addClassCleanup(cls.stop_server)
        cls.url = cls.server.stdout.readline().split()[1] + "/model/"

    @classmethod
    def stop_server(cls):
        cls.server.terminate()
        cls.server.wait()
        cls.server.stdout.close()

    @staticmethod
    def make_model(directory, seed):
        (directory / "sub").mkdir(parents=True)
        (directory / "weights.bin").write_bytes(blake3(seed).digest(length=3 << 20))
        (directory / "sub" / "config.json").write_text("{}")
        subprocess.run([WEIGHBRIDGE, "seal", directory, "-q"], check=True, capture_output=True)

    def setUp(self):
        self.home = Path(self.enterContext(tempfile.TemporaryDirectory())) / "home"

    def run_it(self, *words, home=None, **options):
        return subprocess.run([WEIGHBRIDGE, *map(str, words)], capture_output=True, text=True,
                              check=False, timeout=120, env=environment(home or self.home),
                              **options)

    def json(self, *words, home=None):
        done = self.run_it(*words, "--json", home=home)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def error(self, status, *words, home=None):
        done = self.run_it(*words, "--json", home=home)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return json.loads(done.stderr.splitlines()[-1])

    def pull(self):
        return Path(self.json("pull", self.url)["directory"])

    def blobs(self):
        return sorted(path for path in self.home.glob("blobs/*/*"))

    def blob_of(self, path):
        root = blake3(path.read_bytes()).hexdigest()
        return self.home / "blobs" / root[:2] / root


# What each command is given: to succeed, and what no store and no disk has. None: there is no such
# plight, or it is tested where models with tensors are.
class Row:
    def __init__(self, name, succeed=(), bad=None, bad_status=NOT_FOUND, needs_pull=False,
                 writes_home=False, prints_text=False):
        self.name, self.succeed, self.bad, self.bad_status = name, succeed, bad, bad_status
        self.needs_pull, self.writes_home = needs_pull, writes_home
        self.prints_text = prints_text


def rows(test):
    directory = test.scratch / "to-write"
    if not directory.exists():
        shutil.copytree(test.model, directory)
    return [
        Row("load", None, [ABSENT]),
        Row("inspect", None, [ABSENT]),
        Row("verify", [test.model], [ABSENT]),
        Row("seal", [directory], [ABSENT]),
        Row("init", [directory, "--force"], [ABSENT]),
        Row("pack", [directory, "--to", "oci-layout", test.scratch / "layout"],
            [ABSENT, "--to", "oci-layout", test.scratch / "layout"]),
        Row("pull", [test.url], [test.url + "absent/weights"], writes_home=True),
        Row("ls", [], [ABSENT], needs_pull=True),
        Row("du", [], None, needs_pull=True),
        Row("rm", [test.url], [ABSENT], needs_pull=True),
        Row("pin", [test.url], [ABSENT], needs_pull=True, writes_home=True),
        Row("unpin", [test.url], [ABSENT], needs_pull=True),
        Row("gc", [], None, needs_pull=True),
        Row("scrub", [], None, needs_pull=True),
        Row("adopt", [test.model], [ABSENT], writes_home=True),
        Row("completion", ["bash"], ["csh"], bad_status=INVALID, prints_text=True),
        Row("man", [], None, prints_text=True),
    ]


# Commands that are tested where they are at home: registries, air gaps, locks.
ELSEWHERE = {"push", "login", "logout", "tag", "cp", "diff", "attach", "discover", "export", "import",
             "lock"}


class EveryCommand(Commands):
    def in_each(self, check, wanted=lambda row: row.succeed is not None):
        """Each of those rows in a home of its own, with the model in it where that is needed."""
        for row in filter(wanted, rows(self)):
            with self.subTest(command=row.name):
                shutil.rmtree(self.home, ignore_errors=True)
                if row.needs_pull:
                    self.pull()
                check(row)

    def test_no_command_is_left_out(self):
        named = set(re.findall(r"^  ([a-z]+) ", self.run_it("--help").stdout, re.M))
        self.assertEqual(named - ELSEWHERE, {row.name for row in rows(self)})

    def test_it_succeeds_for_people(self):
        def check(row):
            done = self.run_it(row.name, *row.succeed)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertNotEqual(done.stdout, "")

        self.in_each(check)

    def test_it_succeeds_for_programs(self):
        self.in_each(lambda row: self.json(row.name, *row.succeed),
                     lambda row: row.succeed is not None and not row.prints_text)

    def test_a_bad_reference_is_named(self):
        def check(row):
            error = self.error(row.bad_status, row.name, *row.bad)
            self.assertNotEqual(error["message"], "")
            self.assertEqual(self.run_it(row.name, *row.bad, "--bogus").returncode, INVALID)

        self.in_each(check, lambda row: row.bad is not None)

    def test_a_home_that_may_not_be_written_is_denied(self):
        if os.geteuid() == 0:
            self.skipTest("the superuser may do everything")

        def set_modes(directory_mode, file_mode):
            for path in (self.home, *self.home.rglob("*")):
                path.chmod(directory_mode if path.is_dir() else file_mode)

        def check(row):
            self.home.mkdir(exist_ok=True)
            set_modes(0o555, 0o444)
            try:
                self.error(DENIED, row.name, *row.succeed)
            finally:
                set_modes(0o755, 0o644)

        self.in_each(check, lambda row: row.writes_home)

    def test_a_full_disk_under_what_it_prints_is_an_error(self):
        def check(row):
            with open("/dev/full", "w") as full:
                done = subprocess.run([WEIGHBRIDGE, row.name, *map(str, row.succeed)], stdout=full,
                                      stderr=subprocess.PIPE, check=False, text=True,
                                      env=environment(self.home))
            self.assertEqual(done.returncode, IO, done.stderr)

        self.in_each(check)

    def test_a_closed_pipe_is_an_error_and_no_signal(self):
        def check(row):
            read, write = os.pipe()
            os.close(read)
            done = subprocess.run([WEIGHBRIDGE, row.name, *map(str, row.succeed), "--json"],
                                  stdout=write, stderr=subprocess.PIPE, check=False, text=True,
                                  env=environment(self.home))
            os.close(write)
            self.assertEqual(done.returncode, IO, done.stderr)
            self.assertEqual(json.loads(done.stderr.splitlines()[-1])["code"], "io")

        self.in_each(check)

    def test_an_interrupt_stops_it_in_order(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/model/"
            for words in (["pull", url], ["load", url], ["inspect", url], ["verify", url]):
                with self.subTest(words=words):
                    process = subprocess.Popen([WEIGHBRIDGE, *words, "--json"], text=True,
                                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                               env=environment(self.home))
                    connection, _ = silent.accept()
                    with connection:
                        connection.recv(1)
                        process.send_signal(signal.SIGINT)
                        out, err = process.communicate(timeout=60)
                    self.assertEqual((process.returncode, out), (CANCELLED, ""))
                    self.assertEqual(json.loads(err.splitlines()[-1])["code"], "cancelled")

    def test_an_interrupt_stops_what_goes_slowly(self):
        self.pull()
        process = subprocess.Popen([WEIGHBRIDGE, "scrub", "--rate", "1KiB", "--json"], text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=environment(self.home))
        line = process.stderr.readline()  # it is at work
        self.assertEqual(json.loads(line)["progress"]["doing"], "scrubbing")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        self.assertEqual((process.returncode, out), (CANCELLED, ""))
        self.assertEqual(json.loads(err.splitlines()[-1])["code"], "cancelled")


class Keeping(Commands):
    def ref(self):
        return self.json("ls")["refs"][0]

    def test_ls_says_what_there_is_of_each_model(self):
        self.assertEqual(self.json("ls"), {"refs": [], "adopted": []})
        self.assertFalse(self.home.exists())
        directory = self.pull()
        ref = self.ref()
        self.assertEqual((ref["ref"], ref["state"], ref["bytes"], ref["pinned"], ref["proof"]),
                         (self.url, "whole", (3 << 20) + 2, None, "origin"))
        self.assertEqual(ref["content_id"], directory.name)
        self.assertRegex(ref["last_use"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(self.json("ls", self.url)["refs"], [ref])

    def test_rm_takes_a_model_away_and_leaves_what_others_share(self):
        other = self.scratch / "other"
        if not other.exists():
            shutil.copytree(self.model, other)
            (other / "weights.bin").write_bytes(b"others")
            subprocess.run([WEIGHBRIDGE, "seal", other, "-q"], check=True, capture_output=True)
        self.pull()
        other_url = self.url.replace("/model/", "/other/")
        kept = Path(self.json("pull", other_url)["directory"])
        space = {one["ref"]: one for one in self.json("du")["refs"]}
        self.assertGreaterEqual(space[self.url]["own_bytes"], 3 << 20)
        self.assertEqual(space[self.url]["shared_bytes"], space[other_url]["shared_bytes"])
        removed = self.json("rm", self.url)
        self.assertEqual(removed["blobs"], 1)
        self.assertGreaterEqual(removed["freed_bytes"], 3 << 20)
        self.assertEqual([one["ref"] for one in self.json("ls")["refs"]], [other_url])
        self.assertEqual((kept / "sub" / "config.json").read_text(), "{}")
        self.error(NOT_FOUND, "rm", self.url)

    def test_what_is_read_is_not_removed_and_its_reader_is_named(self):
        self.pull()
        blob = self.blob_of(self.model / "weights.bin")
        with blob.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            error = self.error(BUSY, "rm", self.url)
        self.assertIn(blob.name, error["file"])
        self.assertEqual(self.ref()["state"], "whole")
        if "FLOCK" in Path("/proc/locks").read_text():
            self.assertIn(str(os.getpid()), error["hint"])
        self.json("rm", self.url)

    def test_what_is_pinned_stays_until_it_is_unpinned(self):
        self.pull()
        self.assertEqual(self.json("pin", self.url)["pinned"], self.ref()["content_id"])
        self.assertEqual(self.ref()["pinned"], self.ref()["content_id"])
        self.assertEqual(self.json("gc", "--quota", "0")["blobs"], [])
        self.assertGreaterEqual(self.json("gc", "--quota", "0")["lacking_bytes"], 3 << 20)
        self.assertIn("unpin", self.error(BUSY, "rm", self.url)["hint"])
        self.json("unpin", self.url)
        self.assertEqual(len(self.json("gc", "--quota", "0")["blobs"]), 2)
        self.assertEqual(self.ref()["state"], "part")
        self.error(NOT_FOUND, "pin", self.url)
        self.pull()
        self.assertEqual(self.ref()["state"], "whole")

    def test_gc_without_a_limit_takes_only_what_no_model_needs(self):
        self.pull()
        self.assertEqual(self.json("gc")["blobs"], [])
        next(self.home.glob("refs/*")).unlink()
        self.assertEqual(self.json("gc")["blobs"], [])  # fresh
        for blob in self.blobs():
            os.utime(blob, (time.time() - 7200, blob.stat().st_mtime))
        weights = self.blob_of(self.model / "weights.bin")
        os.link(weights, self.home.parent / "foreign")
        dry = self.json("gc", "--dry-run")
        self.assertEqual(len(self.blobs()), 2)
        done = self.json("gc")
        self.assertEqual(dry["blobs"], done["blobs"])
        self.assertEqual((dry["freed_bytes"], dry["kept_bytes"]),
                         (done["freed_bytes"], done["kept_bytes"]))
        self.assertGreaterEqual(done["kept_bytes"], 3 << 20)
        self.assertLess(done["freed_bytes"], 1 << 20)
        self.assertEqual(self.blobs(), [])

    def test_gc_sweeps_what_kills_left_half_written(self):
        self.pull()
        stale = self.home / "refs" / ".weighbridge-tmp-x-1-1"
        stale.write_text("half")
        os.utime(stale, (1, 1))
        self.assertEqual(self.json("gc")["leftovers"], 1)
        self.assertFalse(stale.exists())

    def test_a_quota_makes_room_for_a_newcomer_or_refuses_it(self):
        self.error(EXHAUSTED, "pull", self.url, "--quota", "1MiB")
        self.error(EXHAUSTED, "pull", self.url, "--floor", "8192TiB")
        self.assertEqual(self.blobs(), [])
        self.json("pull", self.url, "--quota", "5MiB")
        newcomer = self.scratch / "newcomer"
        if not newcomer.exists():
            self.make_model(newcomer, b"newcomer")
        self.json("pull", self.url.replace("/model/", "/newcomer/"), "--quota", "5MiB")
        states = {one["ref"]: one["state"] for one in self.json("ls")["refs"]}
        self.assertEqual(list(states.values()), ["part", "whole"])

    def rot(self, blob):
        blob.chmod(0o644)
        with blob.open("r+b") as file:
            file.seek(5)
            file.write(b"rot")
        blob.chmod(0o444)

    def test_scrub_quarantines_what_rotted_and_fetches_it_again(self):
        directory = self.pull()
        blob = self.blob_of(self.model / "weights.bin")
        self.assertEqual(self.json("scrub")["rotten"], [])
        self.rot(blob)
        scrubbed = self.json("scrub")
        self.assertEqual((scrubbed["rotten"], scrubbed["repaired"], scrubbed["refs"]),
                         ([blob.name], [self.url], []))
        self.assertEqual((directory / "weights.bin").read_bytes(),
                         (self.model / "weights.bin").read_bytes())
        self.assertTrue((self.home / "quarantine" / blob.name).exists())
        self.assertGreaterEqual(self.json("du")["quarantine_bytes"], 3 << 20)

    def test_scrub_names_what_it_could_not_fetch_again(self):
        moved = self.scratch / "moved"
        self.make_model(moved, b"moved")
        url = self.url.replace("/model/", "/moved/")
        self.json("pull", url)
        self.rot(self.blob_of(moved / "weights.bin"))
        shutil.rmtree(moved)
        error = self.error(CORRUPT, "scrub")
        self.assertIn(url, error["hint"])


class Recovering(Commands):
    def test_every_index_is_rebuilt_and_refs_pins_and_proofs_stay(self):
        directory = self.pull()
        self.json("pin", self.url)
        for index in ("sha256", "hashtrees", "seen", "used"):
            path = self.home / index
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        ref = self.json("ls")["refs"][0]
        self.assertEqual((ref["state"], ref["pinned"]), ("whole", directory.name))
        again = self.json("pull", self.url)
        self.assertEqual((again["fetched_bytes"], again["proof"]), (0, "origin"))
        self.assertEqual(self.json("pull", self.url, "--offline")["directory"], str(directory))
        self.assertEqual(self.json("scrub")["blobs"], 2)

    def test_a_snapshot_whose_directory_is_gone_is_linked_anew(self):
        directory = self.pull()
        shutil.rmtree(directory)
        again = self.json("pull", self.url)
        self.assertEqual((again["fetched_bytes"], again["directory"]), (0, str(directory)))
        self.assertTrue((directory / "weights.bin").exists())

    def test_a_newer_layout_is_refused_and_left_alone(self):
        self.pull()
        (self.home / "format").write_text("weighbridge store 2\n")
        for words in (["ls"], ["gc"], ["pull", self.url], ["scrub"]):
            with self.subTest(words=words):
                self.error(7, *words)
        self.assertEqual(len(self.blobs()), 2)


class Adopting(Commands):
    def served_bytes(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url.replace("/model/", "/_stats")) as answer:
            stats = json.loads(answer.read())
        return sum(one["bytes"] for path, one in stats.items()
                   if path.startswith("/model/") and not path.endswith(".seal"))

    def test_a_pull_of_the_same_content_takes_it_from_there(self):
        own = self.home.parent / "own"
        shutil.copytree(self.model, own)
        (own / "weighbridge.seal").unlink()
        before = {path: path.stat() for path in own.rglob("*")}
        adopted = self.json("adopt", own)
        self.assertEqual(adopted["files"], 2)
        self.assertEqual({path: path.stat() for path in own.rglob("*")}.keys(), before.keys())
        served = self.served_bytes()
        pulled = self.json("pull", self.url)
        self.assertEqual((pulled["fetched_bytes"], pulled["copied_bytes"]), (0, (3 << 20) + 2))
        self.assertEqual(pulled["content_id"], adopted["content_id"])
        self.assertEqual(self.served_bytes(), served)

    def test_a_hub_cache_is_adopted_through_its_links(self):
        hub = self.home.parent / "hub" / "models--org--name"
        revision = hub / "snapshots" / "0123abcd"
        (hub / "blobs").mkdir(parents=True)
        (revision / "sub").mkdir(parents=True)
        for path, up in (("weights.bin", "../.."), ("sub/config.json", "../../..")):
            name = blake3(path.encode()).hexdigest()
            shutil.copy(self.model / path, hub / "blobs" / name)
            (revision / path).symlink_to(f"{up}/blobs/{name}")
        adopted = self.json("adopt", revision)
        self.assertEqual((adopted["files"], adopted["directory"]), (2, str(revision.resolve())))
        self.assertEqual(self.json("pull", self.url)["fetched_bytes"], 0)

    def test_a_file_that_changed_is_seen_and_not_used_any_more(self):
        own = self.home.parent / "own"
        shutil.copytree(self.model, own)
        (own / "weighbridge.seal").unlink()
        self.json("adopt", own)
        (own / "weights.bin").write_bytes(b"\0" * (3 << 20))
        scrubbed = self.json("scrub")
        self.assertEqual(scrubbed["withdrawn"], [str(own.resolve() / "weights.bin")])
        self.assertEqual(self.json("ls")["adopted"][0]["withdrawn_files"], 1)
        pulled = self.json("pull", self.url)
        self.assertGreaterEqual(pulled["fetched_bytes"], 3 << 20)
        self.assertEqual((Path(pulled["directory"]) / "weights.bin").read_bytes(),
                         (self.model / "weights.bin").read_bytes())
        self.json("adopt", own)
        self.assertEqual(self.json("ls", own)["adopted"][0]["withdrawn_files"], 0)

    def test_files_that_are_not_what_the_seal_beside_them_says_are_not_adopted(self):
        own = self.home.parent / "own"
        shutil.copytree(self.model, own)
        self.json("adopt", own)
        (own / "weights.bin").write_bytes(b"other")
        self.error(CORRUPT, "adopt", own)
        self.json("rm", own)
        self.assertEqual(self.json("ls")["adopted"], [])
        self.assertTrue((own / "weights.bin").exists())


class Helping(Commands):
    def flags(self):
        """Of each command, what its help shows."""
        commands = re.findall(r"^  ([a-z]+) ", self.run_it("--help").stdout, re.M)
        return {command: set(re.findall(r"(--[a-z][a-z-]+)", self.run_it(command, "--help").stdout
                                        .split("Options:")[1].split("\n\n")[0]))
                for command in commands}

    def test_every_command_and_flag_is_completed_and_on_the_page(self):
        page = self.run_it("man").stdout.replace("\\-", "-")
        scripts = {shell: self.run_it("completion", shell).stdout for shell in ("bash", "zsh", "fish")}
        for command, flags in self.flags().items():
            section = page.split(f"\n.SS {command}\n")[1].split("\n.SS ")[0]
            for shell, script in scripts.items():
                self.assertRegex(script, rf"\b{command}\b")
            for flag in flags:
                self.assertIn(flag, section)
                self.assertIn(flag, scripts["bash"].split(f"\n    {command})\n")[1].split('" ;;\n')[0])
                self.assertIn(flag, scripts["zsh"])
                self.assertRegex(scripts["fish"], f"from {command}' .*-l {flag[2:]} ")

    def test_the_scripts_are_well_formed(self):
        with tempfile.TemporaryDirectory() as directory:
            for shell, check in (("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]),
                                 ("fish", ["fish", "--no-execute"]),
                                 ("bash", ["shellcheck", "-s", "bash"])):
                if shutil.which(check[0]):
                    script = Path(directory) / shell
                    script.write_text(self.run_it("completion", shell).stdout)
                    done = subprocess.run([*check, script], capture_output=True, text=True,
                                          check=False)
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_page_is_well_formed(self):
        if not shutil.which("groff"):
            self.skipTest("groff is not installed")
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z"], capture_output=True,
                              input=self.run_it("man").stdout, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_bash_completes(self):
        script = self.run_it("completion", "bash").stdout
        ask = ('{}\nCOMP_WORDS=({}); COMP_CWORD={}; compopt() {{ :; }}; _weighbridge; '
               'printf "%s\\n" "${{COMPREPLY[@]}}"')
        for words, expected in ((["weighbridge", "unp"], "unpin"),
                                (["weighbridge", "gc", "--dr"], "--dry-run"),
                                (["weighbridge", "completion", "zs"], "zsh")):
            done = subprocess.run(["bash", "-c", ask.format(script, " ".join(words), len(words) - 1)],
                                  capture_output=True, text=True, check=False)
            self.assertEqual(done.stdout.strip(), expected, done.stderr)


if __name__ == "__main__":
    WEIGHBRIDGE, FAULT_SERVER = sys.argv[1:3]
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
