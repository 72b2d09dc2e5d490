"""The rows about the store: a model pulled into it, and pulled again."""

import os
import shutil

from .contender import Contender, alternate, best_of
from .rows import DEPTHS, PEERS, PLAIN_PORT, Result, Target, rate, speed, url, wall
from .stage import BIN, GIB, MIB, run

LINK = "17180mbit"  # 2 GiB/s
SHARDS = 8
SMALL_FILES = 10_000
SMALL_BYTES = 4096
STREAMS = 64  # requests at once


class Directory:
    """A sealed directory of files of random bytes, in memory, where nginx serves it."""

    def __init__(self, stage, name, count, size):
        self.path = stage.memory / name
        self.url = url(PLAIN_PORT, f"{name}/")
        self.names = [f"file-{i:05}.bin" for i in range(count)]
        self.bytes = count * size
        self.path.mkdir()
        for file in self.names:
            with open(self.path / file, "wb") as out:
                for at in range(0, size, 8 * MIB):
                    out.write(os.urandom(min(8 * MIB, size - at)))
        run(BIN / "weighbridge", "seal", "--quiet", self.path)

    def config_of_curl(self, stage, into):
        """All files, into a directory, or nowhere."""
        path = stage.memory / f"curl-{self.path.name}.conf"
        path.write_text("".join(f'url = "{self.url}{name}"\noutput = "{into / name if into else "/dev/null"}"\n'
                                for name in self.names))
        return path

    def drop(self):
        shutil.rmtree(self.path, ignore_errors=True)


def emptied(directory):
    def empty():
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
    return empty


def command(name, total, words, **more):
    return Contender(name, ["python3", PEERS / "command.py", total, *words], **more)


def pull(model, link, home, **more):
    return command("weighbridge pull", model.bytes,
                   [*link.prefix, BIN / "weighbridge", "pull", "--quiet", model.url],
                   env={"WEIGHBRIDGE_HOME": str(home)}, **more)


def curls(model, link, config, count, **more):
    return command(f"curl, {count} at once", model.bytes,
                   [*link.prefix, "curl", "--silent", "--fail", "--parallel", "--parallel-max",
                    count, "--config", config], **more)


def pull_disk(stage, pairs):
    """Pull to disk over a link of 2 GiB/s, every byte proved, durable at the end"""
    model, link = Directory(stage, "pull", SHARDS, 4 * stage.gib * GIB // SHARDS), stage.link(LINK)
    home = stage.disk / "pull-home"
    mine = pull(model, link, home, before=emptied(home))
    fio = best_of(lambda depth: Contender(
        f"fio O_DIRECT, depth {depth}",
        ["python3", PEERS / "fio_write.py", stage.disk / "fio", model.bytes, depth]),
        DEPTHS, stage.environment)
    nowhere = curls(model, link, model.config_of_curl(stage, None), 4)
    alternate([mine, fio, nowhere], pairs, stage.environment)
    emptied(home)()
    model.drop()
    slower = min(fio, nowhere, key=rate)
    return Result([mine, fio, nowhere], [speed(mine, slower, 0.9)])


def pull_memory(stage, pairs):
    """Pull to tmpfs, every byte proved"""
    model, link = Directory(stage, "pull", SHARDS, 2 * stage.gib * GIB // SHARDS), stage.link()
    home, plain = stage.memory / "pull-home", stage.memory / "pull-curl"
    mine = pull(model, link, home, before=emptied(home), after=lambda _: emptied(home)())
    config = model.config_of_curl(stage, plain)
    peer = best_of(lambda count: curls(model, link, config, count, before=emptied(plain),
                                       after=lambda _: emptied(plain)()), (1, 2, 4, 8),
                   stage.environment)
    alternate([mine, peer], pairs, stage.environment)
    model.drop()
    return Result([mine, peer], [wall(mine, peer, 1.4)])


def pull_again(stage, pairs):
    """Pull of what is there"""
    model, link = Directory(stage, "pull", SHARDS, 4 * stage.gib * GIB // SHARDS), stage.link()
    home = stage.disk / "pull-home"
    mine = pull(model, link, home)
    alternate([mine], pairs, stage.environment)
    emptied(home)()
    model.drop()
    return Result([mine], [Target("milliseconds", mine.seconds() * 1000, most=50, unit="ms")])


def pull_small(stage, pairs):
    """Pull of 10,000 small files to disk"""
    model, link = Directory(stage, "small", SMALL_FILES, SMALL_BYTES), stage.link()
    home, copy = stage.disk / "pull-home", stage.disk / "pull-copy"
    mine = pull(model, link, home, before=emptied(home))
    config = model.config_of_curl(stage, None)
    words = (f"curl --silent --fail --parallel --parallel-max {STREAMS} --config {config} && "
             f"cp -r {model.path} {copy}/ && sync")
    peer = command("curl, cp -r and sync", model.bytes, [*link.prefix, "bash", "-c", words],
                   before=emptied(copy))
    alternate([mine, peer], pairs, stage.environment)
    emptied(home)()
    emptied(copy)()
    model.drop()
    return Result([mine, peer], [wall(mine, peer, 2)])


PULL_ROWS = {
    "pull-disk": pull_disk,
    "pull-tmpfs": pull_memory,
    "pull-again": pull_again,
    "pull-small": pull_small,
}
