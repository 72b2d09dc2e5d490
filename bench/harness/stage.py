"""What the rows stand on: models, links of a known rate with servers on them, a cgroup.

All of it is taken down by close(), whatever happened.
"""

import contextlib
import hashlib
import json
import os
import shutil
import struct
import subprocess
import tempfile
import time
from pathlib import Path

from .contender import Failed

ROOT = Path(__file__).resolve().parent.parent.parent
BIN = ROOT / "build/release/bin"
MIB = 2**20
GIB = 2**30
SPARSE = "sparse"
# Without these the allocator gives every load's memory back, and a peer would be timed with fresh
# memory against our resident one; the last gives it huge pages as we have. (torch's own switch for
# them aligns every tensor to 2 MiB, and the heap then never finds room for the next load.)
RESIDENT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "34359738368",
            "MALLOC_ARENA_MAX": "1", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
# A file that changed less than this before it is read is not remembered by its proof.
SETTLE_SECONDS = 2.5


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          check=False, **options)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


class Model:
    """A sealed directory with one safetensors file."""

    def __init__(self, directory, sizes, sparse):
        self.directory = directory
        self.file = directory / "model.safetensors"
        directory.mkdir()
        write_safetensors(self.file, sizes, sparse)
        run(BIN / "weighbridge", "seal", "--quiet", directory)
        self.bytes = self.file.stat().st_size
        self.settled = time.monotonic() + SETTLE_SECONDS

    def settle(self):
        time.sleep(max(0, self.settled - time.monotonic()))

    def digest(self):
        """SHA-256 of "name sha256\\n" of all tensors by name, by nobody's loader."""
        with open(self.file, "rb") as file:
            length, = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
            whole = hashlib.sha256()
            for name in sorted(header, key=str.encode):
                begin, end = header[name]["data_offsets"]
                file.seek(8 + length + begin)
                whole.update(f"{name} {hashlib.sha256(file.read(end - begin)).hexdigest()}\n".encode())
        return whole.hexdigest()


def write_safetensors(path, sizes, sparse):
    header, at = {}, 0
    for i, size in enumerate(sizes):
        header[f"layers.{i}.weight"] = {"dtype": "BF16", "shape": [size // 2],
                                        "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        if sparse:
            out.truncate(8 + len(text) + at)
        else:
            while at > 0:
                at -= out.write(os.urandom(min(at, 8 * MIB)))
        # A file of which pages wait to be written is not remembered by its proof.
        out.flush()
        os.fsync(out.fileno())


def even(total, each=16 * MIB):
    return [each] * int(total // each)


def split(total, count):
    """`count` tensors of nearly one size, in whole 32 bytes."""
    edges = [int(total) * i // count // 32 * 32 for i in range(count + 1)]
    return [end - begin for begin, end in zip(edges, edges[1:])]


def evict(path):
    """Drops the file from the page cache, which works while nobody has it mapped."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fdatasync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
    if int(run("fincore", "--bytes", "--noheadings", "--raw", "--output", "RES", path)) > 0:
        raise Failed(f"{path} stays in the page cache")


def warm(path):
    with open(path, "rb", buffering=0) as file:
        while file.read(4 * MIB):
            pass


def burst_of(rate):
    """2 ms worth of "<number>mbit", and no less than a few of loopback's packets."""
    return max(2**18, int(float(rate.removesuffix("mbit")) * 1e6 / 8 * 0.002))


class Link:
    """A loopback of its own with cubic on both sides, as fast as it goes or at `rate`."""

    def __init__(self, name, rate):
        self.name = name
        self.rate = rate
        self.prefix = ["ip", "netns", "exec", name]
        if os.getuid() != 0:
            raise Failed("network namespaces need root")
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        for route in ("127.0.0.0/8", "127.0.0.1"):
            run("ip", "-n", name, "route", "replace", "local", route, "dev", "lo", "table",
                "local", "src", "127.0.0.1", "congctl", "cubic")
        if rate:
            run("tc", "-n", name, "qdisc", "replace", "dev", "lo", "root", "tbf", "rate", rate,
                "burst", str(burst_of(rate)), "latency", "100ms")

    def wait_for(self, port):
        for _ in range(100):
            done = subprocess.run([*self.prefix, "bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}"],
                                  check=False, capture_output=True)
            if done.returncode == 0:
                return
            time.sleep(0.1)
        raise Failed(f"nothing listens at port {port} of {self.name}")

    def close(self):
        subprocess.run(["ip", "netns", "delete", self.name], check=False, capture_output=True)


NGINX = """
daemon off;
pid {work}/nginx-{name}.pid;
error_log {work}/nginx-{name}.log;
worker_processes 2;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  keepalive_timeout 600s;
  client_body_temp_path {work}/temp;
  server {{ listen 127.0.0.1:18080 backlog=1024; root {root}; }}
}}
"""
PLAIN_PORT = 18080  # nginx, sendfile
ORIGIN_PORT = 18090  # bench/origin_server.cc


class Origin:
    """A running bench/origin_server.cc, which takes words as a contender does."""

    def __init__(self, link, directory, connection_rate, most_answers):
        self.process = subprocess.Popen(
            [*link.prefix, BIN / "origin_server", str(directory), str(ORIGIN_PORT),
             str(connection_rate), str(most_answers)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if not self.process.stdout.readline():
            raise Failed("the origin server does not start")

    def ask(self, word):
        self.process.stdin.write(f"{word}\n".encode())
        self.process.stdin.flush()
        return self.process.stdout.readline().decode().strip()

    def close(self):
        self.process.stdin.close()
        end(self.process)


def end(process):
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Stage:
    """Makes things when they are first asked for. Disk: below build/; memory: below /dev/shm."""

    def __init__(self, gib):
        self.gib = gib
        self.closing = contextlib.ExitStack()
        self.models = {}
        self.links = {}
        (ROOT / "build/bench").mkdir(parents=True, exist_ok=True)
        self.memory = self.directory("/dev/shm")
        self.disk = self.directory(ROOT / "build/bench")
        self.environment = {**os.environ, "WEIGHBRIDGE_HOME": str(self.disk / "home"),
                            "PYTHONDONTWRITEBYTECODE": "1"}
        self.peers_python = None

    def directory(self, where):
        path = Path(tempfile.mkdtemp(prefix="weighbridge-bench.", dir=where))
        self.closing.callback(shutil.rmtree, path, ignore_errors=True)
        path.chmod(0o755)  # nginx reads as another user
        return path

    def model(self, name, sizes, *, memory=False, sparse=False):
        if name not in self.models:
            where = self.memory if memory else self.disk
            self.models[name] = Model(where / name, sizes, sparse)
        return self.models[name]

    def drop_models(self):
        """Ahead of the next row, so that a run never needs more room than its largest row."""
        for model in self.models.values():
            shutil.rmtree(model.directory, ignore_errors=True)
        self.models.clear()

    def link(self, rate=""):
        """A link with nginx on it, which serves the models in memory."""
        if rate not in self.links:
            link = Link(f"wb-bench-{os.getpid()}-{len(self.links)}", rate)
            self.closing.callback(link.close)
            self.links[rate] = link
            self.start_nginx(link)
        return self.links[rate]

    def start_nginx(self, link):
        conf = self.memory / f"nginx-{link.name}.conf"
        conf.write_text(NGINX.format(work=self.memory, name=link.name, root=self.memory))
        errors = self.memory / f"nginx-{link.name}.log"
        server = subprocess.Popen([*link.prefix, "nginx", "-e", str(errors), "-c", str(conf)])
        self.closing.callback(end, server)
        link.wait_for(PLAIN_PORT)

    def origin(self, link, directory, connection_rate, most_answers=0):
        """A context: the server lives in it."""
        return contextlib.closing(Origin(link, directory, connection_rate, most_answers))

    @contextlib.contextmanager
    def cgroup(self, limit_bytes):
        """The command prefix that runs something inside a memory cgroup of that size."""
        base = Path("/sys/fs/cgroup")
        legacy = base / "memory"
        group = (legacy if legacy.is_dir() else base) / f"wb-bench-{os.getpid()}"
        limit = "memory.limit_in_bytes" if legacy.is_dir() else "memory.max"
        try:
            group.mkdir()
            (group / limit).write_text(str(limit_bytes))
        except OSError as error:
            with contextlib.suppress(OSError):
                group.rmdir()
            raise Failed(f"no memory cgroup can be made here: {error}") from error
        try:
            yield ["bash", "-c", f'echo $$ >{group}/cgroup.procs && exec "$@"', "bash"]
        finally:
            with contextlib.suppress(OSError):
                group.rmdir()

    def python_of_peers(self):
        """The interpreter that has the peers; installs them when they are not there yet."""
        if self.peers_python is None:
            done = subprocess.run([ROOT / "tools/peers-env"], stdout=subprocess.PIPE, text=True,
                                  check=False)
            if done.returncode != 0:
                raise Failed("the peers could not be installed (above)")
            self.peers_python = done.stdout.strip()
        return self.peers_python

    def close(self):
        self.closing.close()



def url(port, path):
    return f"http://127.0.0.1:{port}/{path}"
