"""Rows of pushes: our push beside other people's, into registries of other people's."""

import functools
import os
import subprocess

from .contender import Contender, Failed, alternate
from .rows import PEERS, Result, Target, wall
from .stage import BIN, GIB, MIB, ROOT, SETTLE_SECONDS, even, run, write_safetensors

SHARDS = 4
REGISTRIES = {"distribution 3.1.1": "registry", "docker-registry 2.8.2": "docker-registry"}


@functools.cache
def tools():
    listed = run(ROOT / "tools/registry-tools", "--list")
    return dict(line.split("\t")[:2] for line in listed.splitlines())


def tool(name):
    path = tools().get(name, "-")
    if path == "-":
        raise Failed(f"{name} is not installed (tools/registry-tools)")
    return path


@functools.cache
def model(stage):
    """Four shards and a config on the disk, in the page cache; not sealed."""
    directory = stage.disk / "pushed"
    directory.mkdir()
    for i in range(SHARDS):
        name = f"model-{i + 1:05}-of-{SHARDS:05}.safetensors"
        write_safetensors(directory / name, even(stage.gib * GIB // SHARDS), False)
        with (directory / name).open("r+b") as file:  # no two alike
            file.seek(-8, os.SEEK_END)
            file.write(i.to_bytes(8, "little"))
    (directory / "config.json").write_text('{"model_type": "llama"}')
    (stage.disk / "Modelfile").write_text(
        "NAME pushed\nCONFIG config.json\n"
        + "".join(f"MODEL {path.name}\n" for path in sorted(directory.glob("*.safetensors"))))
    subprocess.run(["sync"], check=True)
    return directory


def commands(stage, directory):
    home = stage.disk / "push-home"
    weights = [f"{path.name}:application/vnd.cncf.model.weight.v1.raw"
               for path in sorted(directory.iterdir())]
    return {
        "weighbridge push": ["env", f"WEIGHBRIDGE_HOME={home}", BIN / "weighbridge", "push", "-q",
                             directory, "oci://{host}/b/ours:v1"],
        "oras push": [tool("oras"), "push", "--plain-http", "--no-tty", "{host}/b/oras:v1",
                      *weights],
        "modctl build --output-remote": [
            tool("modctl"), "build", "-t", "{host}/b/modctl:v1", "-f", stage.disk / "Modelfile",
            ".", "--output-remote", "--plain-http", "--no-progress",
            "--storage-dir", stage.disk / "modctl", "--log-dir", stage.disk / "modctl"],
        "crane push of a layout": [tool("crane"), "push", "--insecure", stage.disk / "layout",
                                   "{host}/b/crane:v1"],
    }


def contender(stage, registry, name, *, keep=False, before=None):
    directory = model(stage)
    size = sum(path.stat().st_size for path in directory.iterdir())
    command = [*stage.link().prefix, "python3", PEERS / "registry_push.py", tool(REGISTRIES[registry]), size, directory,
               *(["--keep"] if keep else []), *(["--before", before] if before else []), "--",
               *commands(stage, directory)[name]]
    return Contender(name, command)


def cpu_remark(contenders):
    return [f"{each.name}: {each.cpu_seconds():.2f} CPU-s of the client, "
            f"{sum(turn['server_cpu_seconds'] for turn in each.turns) / len(each.turns):.2f} of "
            "the registry" for each in contenders]


def forget(stage):
    return f"rm -rf {stage.disk}/push-home /tmp/modctl-cache.json"


def push_new(stage, pairs, registry, oras_most, modctl_most):
    mine, oras, modctl = (contender(stage, registry, name, before=forget(stage))
                          for name in ("weighbridge push", "oras push",
                                       "modctl build --output-remote"))
    contenders = [mine, oras, modctl]
    alternate(contenders, pairs, stage.environment)
    peak = max(turn["peak_rss_bytes"] for turn in mine.turns) / MIB
    return Result(contenders, [wall(mine, oras, oras_most), wall(mine, modctl, modctl_most),
                               Target("peak RSS", peak, most=64, unit="MiB")],
                  cpu_remark(contenders))


def push_new_3(stage, pairs):
    """Push of 4 shards that are new to us, to distribution 3.1.1"""
    return push_new(stage, pairs, "distribution 3.1.1", 0.78, 0.92)


def push_new_2(stage, pairs):
    """Push of 4 shards that are new to us, to docker-registry 2.8.2"""
    return push_new(stage, pairs, "docker-registry 2.8.2", 0.88, 1.02)


def push_known(stage, pairs):
    """Push of 4 sealed shards, their digests known, against a ready layout"""
    directory = model(stage)
    seal = f"WEIGHBRIDGE_HOME={stage.disk}/push-home {BIN}/weighbridge seal -q {directory}"
    subprocess.run(f"sleep {SETTLE_SECONDS}; {seal}", shell=True, check=True,
                   stdout=subprocess.DEVNULL)
    run(tool("oras"), "push", "--oci-layout", "--no-tty", f"{stage.disk}/layout:v1",
        "--disable-path-validation", *sorted(directory.glob("*.safetensors")))
    mine, crane = (contender(stage, "distribution 3.1.1", name)
                   for name in ("weighbridge push", "crane push of a layout"))
    alternate([mine, crane], pairs, stage.environment)
    return Result([mine, crane], [wall(mine, crane, 1.10)], cpu_remark([mine, crane]))


def push_again(stage, pairs):
    """The same push again, nothing changed"""
    model(stage)
    subprocess.run(["sleep", str(SETTLE_SECONDS)], check=True)
    mine, modctl = (contender(stage, "distribution 3.1.1", name, keep=True)
                    for name in ("weighbridge push", "modctl build --output-remote"))
    alternate([mine, modctl], pairs, stage.environment)
    return Result([mine, modctl], [Target("wall", mine.seconds(), most=0.1, unit="s"),
                                   wall(mine, modctl)])


def push_changed(stage, pairs):
    """Push with one of 4 shards changed"""
    shard = next(iter(sorted(model(stage).glob("*.safetensors"))))
    change = (f"head -c 8 /dev/urandom | dd of={shard} bs=1 seek=1000000 conv=notrunc status=none; "
              f"sync {shard}; sleep {SETTLE_SECONDS}")
    mine, modctl = (contender(stage, "distribution 3.1.1", name, keep=True, before=change)
                    for name in ("weighbridge push", "modctl build --output-remote"))
    alternate([mine, modctl], pairs, stage.environment)
    return Result([mine, modctl], [wall(mine, modctl, 0.55)], cpu_remark([mine, modctl]))


ROWS = {
    "push-new": push_new_3,
    "push-new-2.8": push_new_2,
    "push-known": push_known,
    "push-again": push_again,
    "push-changed": push_changed,
}
