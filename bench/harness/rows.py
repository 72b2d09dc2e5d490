"""The rows of the table: what is measured, against what, and what must come out."""

from .contender import Contender, Failed, alternate, best_of
from .stage import (BIN, GIB, MIB, ORIGIN_PORT, PLAIN_PORT, RESIDENT, ROOT, even,
                    evict, run, split, url, warm)

PEERS = ROOT / "bench/peers"
THREADS = (1, 2, 3, 4)
RANGES = (1, 2, 4, 8)
DEPTHS = (1, 4, 8, 16, 32)
SLOW_BYTES = 50_000_000      # a second, of one connection
LINK_BYTES = 1_600_000_000   # a second, of all of them
LINK = "12800mbit"           # the same
WITHIN_SECONDS = 5


class Target:
    """What must come out: a figure and its bound; without a bound it is only told."""

    def __init__(self, text, value, *, most=None, least=None, unit="x"):
        self.text, self.value, self.most, self.least, self.unit = text, value, most, least, unit

    def met(self):
        if self.most is None and self.least is None:
            return None
        return ((self.most is None or self.value <= self.most)
                and (self.least is None or self.value >= self.least))

    def bound(self):
        parts = [f"<= {self.most:g}" if self.most is not None else "",
                 f">= {self.least:g}" if self.least is not None else ""]
        return ", ".join(part for part in parts if part)


class Result:
    """What a row gave."""

    def __init__(self, contenders, targets, remarks=()):
        self.contenders, self.targets, self.remarks = contenders, targets, list(remarks)


def rate(contender):
    return contender.bytes() / contender.seconds()


def wall(ours, other, most=None):
    return Target(f"wall of {other.name}", rate(other) / rate(ours), most=most)


def speed(ours, other, least=None):
    return Target(f"speed of {other.name}", rate(ours) / rate(other), least=least)


def fastest(contenders):
    return max(contenders, key=rate)


# ----------------------------------------------------------------------------------- contenders


def ours(*refs, name="weighbridge", prefix=(), options=(), **more):
    return Contender(name, [*prefix, BIN / "loader_bench", *options, *refs], **more)


def reference(mode, model, threads, *, target=None, prefix=(), fresh=False, **more):
    shown = {"libcurl": "libcurl + BLAKE3", "recv": "recv + BLAKE3", "pread": "bare pread",
             "blake3": "bare BLAKE3"}[mode]
    command = [*prefix, BIN / "reference_bench", mode, threads, model.bytes, target or model.file]
    return Contender(f"{shown}, {counted(threads, 'thread')}", command + ["fresh"] * fresh,
                     fresh=fresh, **more)


def counted(count, noun):
    return f"{count} {noun}" + "s" * (count != 1)


def best_reference(stage, mode, model, **more):
    return best_of(lambda threads: reference(mode, model, threads, **more), THREADS,
                   stage.environment)


def curl(model, target, count, prefix):
    return Contender(f"curl --range, {counted(count, 'range')}",
                     [*prefix, "python3", PEERS / "curl_ranges.py", target, model.bytes, count])


def best_curl(stage, model, target, prefix):
    return best_of(lambda count: curl(model, target, count, prefix), RANGES, stage.environment)


def peer(stage, name, script, *arguments, prefix=(), env=None, **more):
    command = [*prefix, stage.python_of_peers(), PEERS / f"{script}_peer.py", *arguments]
    return Contender(name, command, env={**RESIDENT, **(env or {})}, **more)


RUNAI_BEST = {"RUNAI_STREAMER_FS_STRATEGY": "sync_buffered", "RUNAI_STREAMER_CONCURRENCY": "2"}


def hot(path):
    """For `before`: machines that take back memory which is not mapped leave no file whole."""
    return lambda: warm(path)


def copying_peers(stage, model, **more):
    """Those that read safetensors and move the bytes, without hashing them."""
    file = model.file
    return {
        "safetensors": peer(stage, "safetensors, cloned", "safetensors", "clone", file, **more),
        "runai": peer(stage, "Run:ai as it comes", "runai", file, **more),
        "runai_best": peer(stage, "Run:ai sync_buffered, 2 threads", "runai", file,
                           env=RUNAI_BEST, **more),
        "fastsafetensors": peer(stage, "fastsafetensors", "fastsafetensors", file, **more),
    }


def tensorizer_file(stage, model):
    path = model.file.with_suffix(".tensors")
    if not path.exists():
        run(stage.python_of_peers(), PEERS / "tensorizer_peer.py", "write", model.file, path)
    return path


def tensorizer(stage, source, hashed, readers=0, **more):
    name = "tensorizer, hashes on" if hashed else "tensorizer, hashes off"
    return peer(stage, name, "tensorizer", "load", source, readers,
                "hashed" if hashed else "unhashed", **more)


# ----------------------------------------------------------------------------------------- HTTP


def http_model(stage):
    return stage.model("http", even(2 * stage.gib * GIB), memory=True)


def http(stage, pairs):
    """HTTP, resident memory, every byte proved"""
    model, link = http_model(stage), stage.link()
    target = url(PLAIN_PORT, "http/model.safetensors")
    mine = ours(url(PLAIN_PORT, "http/"), prefix=link.prefix, digest=model.digest())
    libcurl = best_reference(stage, "libcurl", model, target=target, prefix=link.prefix)
    recv = best_reference(stage, "recv", model, target=target, prefix=link.prefix)
    ranges = best_curl(stage, model, target, link.prefix)
    contenders = [mine, libcurl, recv, ranges]
    alternate(contenders, pairs, stage.environment)
    return Result(contenders, [wall(mine, libcurl, most=1.10), wall(mine, recv),
                               wall(mine, ranges)])


def http_fresh(stage, pairs):
    """HTTP, memory never touched before, every byte proved"""
    model, link = http_model(stage), stage.link()
    target = url(PLAIN_PORT, "http/model.safetensors")
    mine = ours(url(PLAIN_PORT, "http/"), prefix=link.prefix, fresh=True)
    libcurl = reference("libcurl", model, 2, target=target, prefix=link.prefix, fresh=True)
    alternate([mine, libcurl], pairs, stage.environment)
    return Result([mine, libcurl], [wall(mine, libcurl)])


def http_2gib(stage, pairs):
    """HTTP over a link of 17 Gbit/s (about 2 GiB/s), every byte proved"""
    model, link = http_model(stage), stage.link("17000mbit")
    target = url(PLAIN_PORT, "http/model.safetensors")
    mine = ours(url(PLAIN_PORT, "http/"), prefix=link.prefix)
    ranges = best_curl(stage, model, target, link.prefix)
    alternate([mine, ranges], pairs, stage.environment)
    return Result([mine, ranges], [wall(mine, ranges, most=1.05)])


def http_1gbit(stage, pairs):
    """HTTP over a link of 1 Gbit/s, every byte proved"""
    model = stage.model("half", even(stage.gib * GIB // 2), memory=True)
    link = stage.link("1000mbit")
    target = url(PLAIN_PORT, "half/model.safetensors")
    mine = ours(url(PLAIN_PORT, "half/"), prefix=link.prefix)
    ranges = curl(model, target, 4, link.prefix)
    alternate([mine, ranges], pairs, stage.environment)
    return Result([mine, ranges], [Target("share of the link", rate(mine) * 8 / 1e9, least=0.95),
                                   wall(mine, ranges)])


def http_peers(stage, pairs):
    """HTTP against peers, resident memory"""
    model = stage.model("small", even(stage.gib * GIB), memory=True)
    link = stage.link()
    tensorizer_file(stage, model)
    source = url(PLAIN_PORT, "small/model.tensors")
    digest = model.digest()
    mine = ours(url(PLAIN_PORT, "small/"), prefix=link.prefix, digest=digest)
    hashed = tensorizer(stage, source, True, prefix=link.prefix, digest=digest)
    unhashed = tensorizer(stage, source, False, prefix=link.prefix, digest=digest)
    contenders = [mine, hashed, unhashed]
    alternate(contenders, pairs, stage.environment)
    return Result(contenders, [speed(mine, hashed, 3.5), speed(mine, unhashed, 2)])


# ------------------------------------------------------------------------- HTTP, awkward origins


def bytes_at(arrivals, seconds):
    """How many had come by then; between two points, in proportion."""
    before = (0.0, 0)
    for at, count in arrivals:
        if at >= seconds:
            return before[1] + (count - before[1]) * (seconds - before[0]) / (at - before[0])
        before = (at, count)
    return before[1]


def note_rise(turn):
    """The rate over the second before 5 s are over, or before the end, and when 90 % came first."""
    arrivals = turn.pop("arrivals")
    end = min(WITHIN_SECONDS, arrivals[-1][0])
    turn["rate_bytes"] = bytes_at(arrivals, end) - bytes_at(arrivals, end - 1)
    step = 0.5
    reached = [at for at, count in arrivals if at > step
               and (count - bytes_at(arrivals, at - step)) / step >= 0.9 * LINK_BYTES]
    turn["reached_seconds"] = reached[0] if reached else float("inf")


def middle_of(values):
    return sorted(values)[len(values) // 2]


def slow_connections(stage, pairs):
    """HTTP, 50 MB/s a connection and 1.6 GB/s in all"""
    model, link = stage.model("slow", even(4 * stage.gib * GIB), sparse=True), stage.link(LINK)
    with stage.origin(link, model.directory, SLOW_BYTES):
        mine = ours(url(ORIGIN_PORT, ""), prefix=link.prefix, after=note_rise)
        alternate([mine], pairs, stage.environment)
    reached = middle_of([turn["reached_seconds"] for turn in mine.turns])
    share = middle_of([turn["rate_bytes"] for turn in mine.turns]) / LINK_BYTES
    return Result([mine], [Target(f"share of 1.6 GB/s within {WITHIN_SECONDS} s", share, least=0.9),
                           Target("90 % of it reached after", reached, unit="s")])


def limited(stage, pairs):
    """HTTP, 503 above 6 connections of 50 MB/s each"""
    model, link = stage.model("half", even(stage.gib * GIB // 2), memory=True), stage.link()
    with stage.origin(link, model.directory, SLOW_BYTES, 6) as origin:

        def after(turn):
            turn["refused"] = int(origin.ask("refused"))

        mine = ours(url(ORIGIN_PORT, ""), prefix=link.prefix, after=after,
                    before=lambda: origin.ask("plain"))
        ranges = curl(model, url(ORIGIN_PORT, "model.safetensors"), 6, link.prefix)
        alternate([mine, ranges], pairs, stage.environment)
    connections = middle_of([turn["connections"] for turn in mine.turns])
    refused = middle_of([turn["refused"] for turn in mine.turns])
    return Result([mine, ranges],
                  [speed(mine, ranges, least=0.9),
                   Target("connections it settles at", connections, most=7, unit=""),
                   Target("answers refused in one load", refused, unit="")])


def stalled(stage, pairs):
    """HTTP, one of 64 ranges stalled for 30 s, 25 MB/s a connection"""
    model, link = stage.model("stall", even(256 * MIB), memory=True), stage.link()
    with stage.origin(link, model.directory, SLOW_BYTES // 2) as origin:
        sent = {}

        def before(word):
            origin.ask(word)
            sent["before"] = int(origin.ask("bytes"))

        def after(turn):
            turn["origin_bytes"] = int(origin.ask("bytes")) - sent["before"]

        def shaped(name, word):
            return ours(url(ORIGIN_PORT, ""), prefix=link.prefix, after=after,
                        before=lambda: before(word), name=f"weighbridge, {name}")

        mine = shaped("nothing stalled", "plain")
        hit = shaped("one range stalled", f"stall /model.safetensors {model.bytes // 2}")
        alternate([mine, hit], pairs, stage.environment)
    origin_bytes = middle_of([turn["origin_bytes"] for turn in hit.turns])
    return Result([mine, hit], [Target("wall of the same unstalled", rate(mine) / rate(hit), most=2),
                                Target("bytes of the model that the origin sent",
                                       origin_bytes / model.bytes, most=1.05)])


def huge_tensor(stage, pairs):
    """HTTP, one tensor of 4 GiB among small ones, 50 MB/s a connection"""
    big = int(4 * stage.gib * GIB)
    small = even(stage.gib * GIB // 2)
    link = stage.link(LINK)
    stage.model("even", even(big) + 2 * small, sparse=True)
    stage.model("huge", [*small, big, *small], sparse=True)
    with stage.origin(link, stage.disk, SLOW_BYTES):
        flat = ours(url(ORIGIN_PORT, "even/"), url(ORIGIN_PORT, "huge/"), prefix=link.prefix,
                    name="weighbridge, tensors of 16 MiB")
        one = ours(url(ORIGIN_PORT, "huge/"), prefix=link.prefix, partner=flat, word="1",
                   name="weighbridge, one tensor of 4 GiB")
        alternate([flat, one], pairs, stage.environment)
    return Result([flat, one], [Target("rate of even tensors", rate(one) / rate(flat),
                                       least=0.9, most=1.1)])


# ---------------------------------------------------------------------------------------- local


def local_model(stage):
    model = stage.model("local", even(stage.gib * GIB))
    model.settle()
    return model


SEALED = ("--verify", "sealed")
ALWAYS = ("--verify", "always")


def local_hot(stage, pairs):
    """Local, in the page cache, hashed by an earlier load (--verify sealed)"""
    model = local_model(stage)
    tensors = tensorizer_file(stage, model)
    more = {"digest": model.digest(), "before": hot(model.file)}
    mine = ours(model.directory, options=SEALED, **more)
    pread = reference("pread", model, 2, before=hot(model.file))
    peers = copying_peers(stage, model, **more)
    peers["tensorizer"] = tensorizer(stage, tensors, False, 2, **{**more, "before": hot(tensors)})
    mapped = peer(stage, "safetensors, mapped (moves nothing)", "safetensors", "mapped", model.file,
                  **more)
    contenders = [mine, pread, *peers.values(), mapped]
    alternate(contenders, pairs, stage.environment)
    return Result(contenders, [speed(mine, pread, 0.9),
                               speed(mine, fastest(peers.values()), 0.95),
                               speed(mine, peers["runai"], 4),
                               speed(mine, peers["fastsafetensors"], 5)])


def local_always(stage, pairs):
    """Local, in the page cache, every byte hashed (--verify always)"""
    model = local_model(stage)
    tensors = tensorizer_file(stage, model)
    digest = model.digest()
    mine = ours(model.directory, options=ALWAYS, digest=digest, before=hot(model.file))
    pread = reference("pread", model, 2, before=hot(model.file))
    blake3 = reference("blake3", model, 2)
    hashed = tensorizer(stage, tensors, True, digest=digest, before=hot(tensors))
    contenders = [mine, pread, blake3, hashed]
    alternate(contenders, pairs, stage.environment)
    least_cpu = pread.cpu_seconds() + blake3.cpu_seconds()
    return Result(contenders, [Target("CPU of bare pread + bare BLAKE3",
                                      mine.cpu_seconds() / least_cpu, most=1.4),
                               speed(mine, hashed, 3)])


def local_cold(stage, pairs):
    """Local, not in the page cache, every byte hashed"""
    model = local_model(stage)
    tensors = tensorizer_file(stage, model)
    digest = model.digest()

    def cold():
        evict(model.file)

    mine = ours(model.directory, options=ALWAYS, before=cold, digest=digest)
    fio = best_of(lambda depth: Contender(
        f"fio O_DIRECT, depth {depth}", ["python3", PEERS / "fio_read.py", model.file, model.bytes,
                                         depth], before=cold), DEPTHS, stage.environment)
    peers = list(copying_peers(stage, model, before=cold, digest=digest).values())
    peers.append(tensorizer(stage, tensors, False, 2, before=lambda: evict(tensors), digest=digest))
    alternate([mine, fio, *peers], max(pairs, 9) if pairs >= 7 else pairs, stage.environment)
    return Result([mine, fio, *peers], [speed(mine, fio, 0.9), speed(mine, fastest(peers), 0.95)])


def many_tensors(stage, pairs):
    """Local, 30,000 tensors and the same bytes in 300"""
    many = stage.model("many", split(stage.gib * GIB, 30_000))
    few = stage.model("few", split(stage.gib * GIB, 300))
    few.settle()
    in_few = ours(few.directory, many.directory, options=SEALED, before=hot(few.file),
                  name="weighbridge, 300 tensors")
    mine = ours(many.directory, partner=in_few, word="1", before=hot(many.file),
                name="weighbridge, 30,000 tensors")
    peers = list(copying_peers(stage, many, digest=many.digest(),
                               before=hot(many.file)).values())
    alternate([in_few, mine, *peers], pairs, stage.environment)
    return Result([in_few, mine, *peers],
                  [wall(mine, in_few, 1.3), speed(mine, fastest(peers), 3)],
                  ["tensorizer cannot: its file format overflows at this number of tensors"])


def many_tensors_http(stage, pairs):
    """HTTP, 30,000 tensors and the same bytes in 300"""
    stage.model("many", split(stage.gib * GIB, 30_000), memory=True)
    stage.model("few", split(stage.gib * GIB, 300), memory=True)
    link = stage.link()
    in_few = ours(url(PLAIN_PORT, "few/"), url(PLAIN_PORT, "many/"), prefix=link.prefix,
                  name="weighbridge, 300 tensors")
    mine = ours(url(PLAIN_PORT, "many/"), partner=in_few, word="1", prefix=link.prefix,
                name="weighbridge, 30,000 tensors")
    alternate([in_few, mine], pairs, stage.environment)
    return Result([in_few, mine], [wall(mine, in_few, 1.3)])


def larger_than_memory(stage, _):
    """Local, 64 GiB sparse, --memory 256MiB, tensors dropped as they come"""
    model = stage.model("sparse", even(64 * stage.gib * GIB, 64 * MIB), sparse=True)
    model.settle()
    options = ("--drop", "--memory", 256 * MIB)
    remarks = []
    try:
        with stage.cgroup(512 * MIB) as prefix:
            mine = ours(model.directory, prefix=prefix, options=options, fresh=True)
            alternate([mine], 1, stage.environment)
        remarks.append("in a memory cgroup of 512 MiB")
    except Failed as error:
        if "cgroup" not in str(error):
            raise
        remarks.append(f"without a cgroup: {error}")
        mine = ours(model.directory, options=options, fresh=True)
        alternate([mine], 1, stage.environment)
    peak = mine.turns[0]["peak_rss_bytes"] / MIB
    return Result([mine], [Target("peak RSS", peak, most=384, unit="MiB")], remarks)


# ------------------------------------------------------------------------------- CPU of the proof


def cpu(stage, pairs):
    """CPU of a verified load over HTTP against libcurl discarding + bare BLAKE3"""
    http_model(stage)
    link = stage.link()
    text = run(*link.prefix, BIN / "load_bench", url(PLAIN_PORT, "http/"),
               url(PLAIN_PORT, "http/model.safetensors"), pairs, env=stage.environment)
    ratio = float(text.split("ratio ")[-1].split()[0])
    return Result([], [Target("CPU of libcurl + bare BLAKE3", ratio, most=1.25)],
                  text.strip().splitlines())


def hash_tree(_stage, _pairs):
    """Hash tree against b3sum, one thread"""
    text = run(BIN / "hash_bench")
    lines = text.strip().splitlines()
    return Result([], [Target("speed of b3sum, hash tree over memory",
                              float(lines[-2].split()[-3]))], lines)


ROWS = {
    "http": http,
    "http-fresh": http_fresh,
    "http-2gib": http_2gib,
    "http-1gbit": http_1gbit,
    "http-slow-connections": slow_connections,
    "http-limited": limited,
    "http-stalled": stalled,
    "http-huge-tensor": huge_tensor,
    "http-many": many_tensors_http,
    "http-peers": http_peers,
    "local-hot": local_hot,
    "local-always": local_always,
    "local-cold": local_cold,
    "local-many": many_tensors,
    "local-sparse": larger_than_memory,
    "cpu": cpu,
    "hash": hash_tree,
}
