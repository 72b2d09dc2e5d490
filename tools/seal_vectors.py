#!/usr/bin/env python3
"""Builds the seals of docs/formats/seal-vectors.json from docs/formats/seal.md alone.

Independent of our code on purpose: BLAKE3's tree is computed here with numpy, its roots are checked
against the blake3 package and, where installed, b3sum. Prints what differs; exit status 1 if
anything does. Needs numpy, blake3 and xxhash (tools/python-env makes such an environment).
"""

import hashlib
import json
import pathlib
import shutil
import struct
import subprocess
import sys

import blake3
import numpy
import xxhash

MIB = 1 << 20
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
IV = numpy.array([0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
                  0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19], numpy.uint32)
PERMUTATION = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]
COLUMNS_AND_DIAGONALS = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                         (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]


def rotate(words, bits):
    return words >> numpy.uint32(bits) | words << numpy.uint32(32 - bits)


def compress(values, blocks, counters, length, flags):
    """BLAKE3's compression of n blocks side by side: (n, 8), (n, 16), (n,) to (n, 8)."""
    v = [values[:, i] for i in range(8)]
    v += [numpy.full(len(values), word) for word in IV[:4]]
    v += [(counters & 0xFFFFFFFF).astype(numpy.uint32), (counters >> 32).astype(numpy.uint32)]
    v += [numpy.full(len(values), word, numpy.uint32) for word in (length, flags)]
    m = [blocks[:, i] for i in range(16)]
    for _ in range(7):
        for i, (a, b, c, d) in enumerate(COLUMNS_AND_DIAGONALS):
            for word, first, second in ((m[2 * i], 16, 12), (m[2 * i + 1], 8, 7)):
                v[a] = v[a] + v[b] + word
                v[d] = rotate(v[d] ^ v[a], first)
                v[c] = v[c] + v[d]
                v[b] = rotate(v[b] ^ v[c], second)
        m = [m[i] for i in PERMUTATION]
    return numpy.stack([v[i] ^ v[i + 8] for i in range(8)], axis=1)


def chunk_values(chunks, first, root):
    """Chaining values of equally long chunks (at most 1 KiB) that follow each other."""
    counters = numpy.arange(first, first + len(chunks), dtype=numpy.uint64)
    values = numpy.tile(IV, (len(chunks), 1))
    starts = range(0, max(1, len(chunks[0])), 64)
    for at in starts:
        blocks = [chunk[at:at + 64] for chunk in chunks]
        flags = CHUNK_START * (at == 0) | (CHUNK_END | root) * (at == starts[-1])
        words = numpy.frombuffer(b"".join(b.ljust(64, b"\0") for b in blocks), "<u4")
        values = compress(values, words.reshape(-1, 16), counters, len(blocks[0]), flags)
    return values


def merge(values, root):
    while len(values) > 1:
        pairs = len(values) // 2
        flags = PARENT | (root if len(values) == 2 else 0)
        parents = compress(numpy.tile(IV, (pairs, 1)), values[:2 * pairs].reshape(pairs, 16),
                           numpy.zeros(pairs, numpy.uint64), 64, flags)
        values = numpy.concatenate([parents, values[2 * pairs:]])
    return values


def subtree(data, first_chunk, root):
    """The chaining value of a piece, or with `root` the root of a file that is one piece."""
    whole = len(data) // 1024 * 1024
    single = root if len(data) <= 1024 else 0
    values = [chunk_values([data[at:at + 1024] for at in range(0, whole, 1024)], first_chunk,
                           single)] if whole else []
    if whole < len(data) or not data:
        values.append(chunk_values([data[whole:]], first_chunk + whole // 1024, single))
    return merge(numpy.concatenate(values), root)


def tree(data):
    """Root and pieces; none for at most 1 MiB."""
    if len(data) <= MIB:
        return subtree(data, 0, ROOT).tobytes(), []
    pieces = [subtree(data[at:at + MIB], at // 1024, 0) for at in range(0, len(data), MIB)]
    return merge(numpy.concatenate(pieces), ROOT).tobytes(), [p.tobytes() for p in pieces]


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def hinted_ranges(path, data):
    """Where the tensors of at least 1 MiB stand."""
    if not path.endswith(".safetensors"):
        return []
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    tensors = json.loads(data[8:begin])
    tensors.pop("__metadata__", None)
    ranges = [[begin + at for at in tensor["data_offsets"]] for tensor in tensors.values()]
    return sorted(r for r in ranges if r[1] - r[0] >= MIB)


def content_of(parts):
    out = b""
    for part in parts:
        cycle = bytes(range(251)) * (part.get("cycle", 0) // 251 + 1)
        out += bytes.fromhex(part.get("hex", "")) + cycle[:part.get("cycle", 0)]
    return out


def check_root(data, root):
    problems = [] if blake3.blake3(data).digest() == root else ["root differs from blake3's"]
    if shutil.which("b3sum"):
        printed = subprocess.run(["b3sum", "--no-names"], input=data, capture_output=True, check=True)
        if printed.stdout.decode().strip() != root.hex():
            problems.append("root differs from b3sum's")
    return problems


def check(vector):
    problems, records, identity = [], b"", b""
    for file in sorted(vector["files"], key=lambda f: f["path"].encode()):
        path, data, executable = file["path"].encode(), content_of(file["content"]), file["executable"]
        root, pieces = tree(data)
        problems += check_root(data, root)
        ranges = hinted_ranges(file["path"], data)
        if ranges != file["hinted"]:
            problems.append(f"{file['path']}: hinted {ranges}")
        records += varint(len(path)) + path + bytes([executable]) + varint(len(data))
        records += hashlib.sha256(data).digest() + root + b"".join(pieces) + varint(len(ranges))
        end = 0
        for begin, next_end in ranges:
            records += varint(begin - end) + varint(next_end - begin)
            records += xxhash.xxh3_128_digest(data[begin:next_end])
            end = next_end
        identity += b"%s %d %s %s\0" % (root.hex().encode(), len(data), b"-x"[executable:][:1], path)
    seal = b"\x89WBSEAL\n" + struct.pack("<II", 1, len(vector["files"])) + records
    seal += hashlib.sha256(seal).digest()
    found = {"seal": seal.hex(), "seal_sha256": hashlib.sha256(seal).hexdigest(),
             "content_id": blake3.blake3(identity).hexdigest()}
    return problems + [f"{key}: found {found[key]}" for key in found if vector[key] != found[key]]


def main():
    page = pathlib.Path(__file__).resolve().parent.parent / "docs/formats/seal-vectors.json"
    vectors = json.loads(page.read_text())["vectors"]
    failed = 0
    for vector in vectors:
        problems = check(vector)
        failed += bool(problems)
        print(vector["name"], "differs" if problems else "ok")
        for problem in problems:
            print("   ", problem)
    print(f"{len(vectors) - failed} of {len(vectors)} seals rebuilt byte for byte")
    return 1 if failed or not vectors else 0


if __name__ == "__main__":
    sys.exit(main())
