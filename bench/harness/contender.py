"""Programs that take turns, and turns taken in alternation."""

import contextlib
import json
import select
import signal
import statistics
import subprocess

TURN_SECONDS = 240  # a turn that takes longer has hung
MIN_WARM_TURNS = 2  # untimed
MAX_WARM_TURNS = 8


class Failed(Exception):
    """A row that could not be measured, and why."""


class Contender:
    """A program that answers each line on its standard input with a line of JSON.

    word: the line that asks for a turn. env: added to the environment. fresh: a new process for
    each turn, its memory never touched. before, after: called around each turn, not timed; after
    gets what the turn answered and may add to it. partner: a contender whose process takes these
    turns too, so that both use the same memory. digest: of the tensors it must load.
    """

    def __init__(self, name, command, *, word="0", env=None, fresh=False, before=None, after=None,
                 partner=None, digest=None):
        self.name = name
        self.command = [str(part) for part in command]
        self.word = word
        self.env = env or {}
        self.fresh = fresh
        self.before = before or (lambda: None)
        self.after = after or (lambda turn: None)
        self.partner = partner
        self.digest = digest
        self.process = None
        self.turns = []

    def shown(self):
        """The command as one could type it."""
        return " ".join([*(f"{key}={value}" for key, value in self.env.items()), *self.command])

    def start(self, environment):
        if self.partner:
            return
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, bufsize=0,
                                        env={**environment, **self.env})
        self.answer()

    def answer(self):
        ready, _, _ = select.select([self.process.stdout], [], [], TURN_SECONDS)
        line = self.process.stdout.readline() if ready else b""
        if not line:
            status = self.stop()
            how = f"ended with status {status}" if ready else f"hung for {TURN_SECONDS} s"
            raise Failed(f"{self.name} {how}: {self.shown()}")
        try:
            return json.loads(line)
        except ValueError:
            return self.answer()  # some libraries print on standard output

    def ask(self, word):
        if self.partner:
            return self.partner.ask(word)
        try:
            self.process.stdin.write(f"{word}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # answer() says that it ended
        return self.answer()

    def turn(self):
        self.before()
        turn = self.ask(self.word)
        self.after(turn)
        return turn

    def warm(self):
        """Untimed turns until memory is resident: until the most that was held no longer grows."""
        peak = 0
        for i in range(MAX_WARM_TURNS):
            before, peak = peak, self.turn()["peak_rss_bytes"]
            if i + 1 >= MIN_WARM_TURNS and peak <= before * 1.001:
                return

    def compare(self):
        """Loads once more, and holds the bytes of all tensors to those of the file."""
        self.before()
        if self.digest and self.ask("digest")["digest"] != self.digest:
            raise Failed(f"{self.name}: loaded other bytes than the file has")

    def stop(self):
        """Ends it. The exit status, or the signal as a negative number."""
        if self.process is None:
            return None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        status, self.process = self.process.returncode, None
        return status

    # What the turns amount to.

    def seconds(self):
        return statistics.median(turn["seconds"] for turn in self.turns)

    def cpu_seconds(self):
        return statistics.median(turn["cpu_seconds"] for turn in self.turns)

    def bytes(self):
        return self.turns[0]["bytes"]

    def summary(self):
        gib = self.bytes() / 2**30
        seconds = [turn["seconds"] for turn in self.turns]
        return {
            "name": self.name,
            "turns": len(self.turns),
            "bytes": self.bytes(),
            "seconds": self.seconds(),
            "seconds_min": min(seconds),
            "seconds_max": max(seconds),
            "gib_per_second": gib / self.seconds(),
            "cpu_seconds_per_gib": self.cpu_seconds() / gib,
            "peak_rss_bytes": max(turn["peak_rss_bytes"] for turn in self.turns),
            "command": self.shown(),
        }


def alternate(contenders, pairs, environment):
    """Each takes `pairs` timed turns; every other round runs in the opposite order. Last, those
    that load tensors show once that they are the right ones."""
    try:
        for contender in contenders:
            if not contender.fresh:
                contender.start(environment)
                contender.warm()
        for i in range(pairs):
            for contender in contenders if i % 2 == 0 else reversed(contenders):
                if contender.fresh:
                    contender.start(environment)
                contender.turns.append(contender.turn())
                if contender.fresh:
                    contender.stop()
        for contender in contenders:
            if not contender.fresh:
                contender.compare()
    finally:
        for contender in contenders:
            contender.stop()


def best_of(make, candidates, environment):
    """make(candidate) for the candidate whose better of two turns is the fastest."""
    times = {}
    for candidate in candidates:
        contender = make(candidate)
        contender.start(environment)
        try:
            contender.turn()
            times[candidate] = min(contender.turn()["seconds"] for _ in range(2))
        finally:
            contender.stop()
    return make(min(times, key=times.get))


def end_on_signals():
    """SIGTERM and SIGHUP unwind as Ctrl-C does, so that everything is cleaned up."""
    def unwind(number, _):
        raise SystemExit(128 + number)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, unwind)
