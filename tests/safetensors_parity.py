"""Our safetensors reader against the `safetensors` package, over the same files.

usage: safetensors_parity.py PATH_OF_SAFETENSORS_CHECK

Fails if we accept a file that the package refuses; if we refuse one that it accepts, unless the
reason is a row of "Stricter than the package" in docs/formats/safetensors.md; if both accept a
file and the tables differ; or if a hand-made file does not get the verdict its maker expects.
"""

import collections
import importlib.metadata
import json
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

import safetensors

import safetensors_cases as cases

PACKAGE_VERSION = "0.8.0"
MUTATIONS = 12_000
SEED = 20240801
LEAST_HAND_MADE = 80
PAGE = pathlib.Path(__file__).parent.parent / "docs/formats/safetensors.md"

# How a class of the page's table shows in our message.
DEVIATIONS = {
    "duplicate-name": r"tensor '.*': the name stands there twice, ",
    "duplicate-metadata": r"__metadata__: key '.*' stands there twice$",
    "leading-space": r"the header does not begin with '{'$",
    "padding": r"after the header's '}' expected only spaces$",
    "null-metadata": r"__metadata__: expected an object, found null$",
    "tensor-as-array": r"tensor '.*': expected an object, found an array$",
    "dtype-as-object": r"tensor '.*': dtype: expected a string, found an object$",
    "dimensions": r"tensor '.*': shape: more than 64 dimensions$",
    "name-length": r"a name of \d+ bytes, at most 4096 are allowed$",
    "metadata-keys": r"__metadata__: more than 65536 keys$",
    "tiny-number": r"tensor '.*': a number that a double does not hold: ",
}


def our_verdicts(program, files):
    """The program's line for each file, as its fields."""
    with tempfile.TemporaryFile() as stream:
        for file in files:
            stream.write(struct.pack("<Q", len(file)) + file)
        stream.seek(0)
        run = subprocess.run([program], stdin=stream, stdout=subprocess.PIPE, check=True)
    # A name may hold U+0085 and the like, so only the program's own line ends count.
    lines = run.stdout.decode().split("\n")[:-1]
    assert len(lines) == len(files), f"{len(lines)} verdicts on {len(files)} files"
    return [line.split("\t") for line in lines]


def package_verdict(file):
    """The package's tensors, or None and its reason."""
    try:
        return dict(safetensors.deserialize(file)), ""
    except BaseException as problem:  # a panic of its Rust code is no Exception
        if isinstance(problem, KeyboardInterrupt):
            raise
        return None, f"{type(problem).__name__}: {problem}"


def our_table(fields):
    metadata, tensors = {}, {}
    for field in fields:
        kind, name, *rest = field.split(":")
        name = bytes.fromhex(name).decode()
        if kind == "m":
            metadata[name] = bytes.fromhex(rest[0]).decode()
        else:
            dtype, shape, begin, end = rest
            dimensions = [int(dimension) for dimension in shape.split(",") if dimension]
            tensors[name] = (dtype, dimensions, int(begin), int(end))
    return metadata, tensors


def difference(file, fields, theirs):
    """What differs between the two tables, or None. The package gives no offsets: the bytes it
    gives must be the file's at our offsets, and the offsets those that the header's JSON states."""
    metadata, tensors = our_table(fields)
    header_end = 8 + struct.unpack_from("<Q", file)[0]
    stated = json.loads(file[8:header_end])
    if metadata != stated.pop("__metadata__", {}):
        return f"metadata: {metadata}"
    if tensors.keys() != theirs.keys() or len(fields) != len(metadata) + len(theirs):
        return f"names: ours {sorted(tensors)}, the package's {sorted(theirs)}"
    for name, (dtype, shape, begin, end) in tensors.items():
        their = theirs[name]
        if (dtype, shape) != (their["dtype"], their["shape"]):
            return f"tensor {name!r}: ours {dtype} {shape}, the package's {their}"
        if file[begin:end] != bytes(their["data"]):
            return f"tensor {name!r}: other bytes at {begin}..{end}"
        if [begin - header_end, end - header_end] != stated[name]["data_offsets"]:
            return f"tensor {name!r}: at {begin}..{end}, but stated {stated[name]}"
    return None


def deviation_of(message):
    for name, pattern in DEVIATIONS.items():
        if re.match(pattern, message, re.DOTALL):
            return name
    return None


def judge(case, fields):
    """How the two agree on a case: ("both accept" ..., None) or (None, what is wrong)."""
    theirs, reason = package_verdict(case.file)
    if fields[0] == "accept":
        if theirs is None:
            return None, f"we accept, the package refuses: {reason}"
        wrong = difference(case.file, fields[1:], theirs)
        return (None, wrong) if wrong else ("both accept", None)
    if theirs is None:
        return "both refuse", None
    deviation = deviation_of(fields[3])
    if deviation is None:
        return None, f"the package accepts, we refuse: {fields[1:]}"
    return deviation, None


def judge_all(program, group):
    counts, failures = collections.Counter(), []
    for case, fields in zip(group, our_verdicts(program, [case.file for case in group])):
        outcome, wrong = judge(case, fields)
        if wrong is None and case.expected not in (None, outcome):
            wrong = f"expected: {case.expected}, found: {outcome}: {fields[:4]}"
        if wrong:
            failures.append(f"{case.name}: {wrong}\n    {case.file[:400]!r}")
        counts[outcome or "wrong"] += 1
    return counts, failures


def check_tables():
    """The page and this test list the same deviations, and every one has a hand-made file."""
    page = PAGE.read_text().split("## Stricter than the package")[1]
    documented = set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE))
    if documented != DEVIATIONS.keys():
        return [f"the page and this test differ in {sorted(documented ^ DEVIATIONS.keys())}"]
    return []


def report(title, counts):
    print(f"{title}: {sum(counts.values())} files")
    for outcome, count in sorted(counts.items()):
        print(f"  {count:6}  {outcome}")


def main():
    program = sys.argv[1]
    found = importlib.metadata.version("safetensors")
    if found != PACKAGE_VERSION:
        sys.exit(f"needs safetensors {PACKAGE_VERSION}, found {found} (run by tools/python-env)")
    hand_made = cases.hand_made()
    names = {case.name for case in hand_made}
    failures = check_tables()
    if len(names) != len(hand_made) or len(hand_made) < LEAST_HAND_MADE:
        failures.append(f"{len(hand_made)} hand-made files, {len(names)} names")
    unseen = DEVIATIONS.keys() - {case.expected for case in hand_made}
    failures += [f"no hand-made file for {name}" for name in sorted(unseen)]

    hand_counts, wrong = judge_all(program, hand_made)
    report("hand-made", hand_counts)
    failures += wrong
    mutated = cases.mutated(SEED, MUTATIONS)
    mutated_counts, wrong = judge_all(program, mutated)
    report(f"mutated (seed {SEED})", mutated_counts)
    failures += wrong

    for failure in failures[:20]:
        print("FAILED", failure)
    print(f"{len(failures)} failures")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
