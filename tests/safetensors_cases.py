"""Safetensors files to disagree about: made by hand, and made by mutation."""

import dataclasses
import json
import random
import re
import struct

BITS = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8,
    "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}
ACCEPT = "both accept"
REFUSE = "both refuse"
MAX_HEADER = 100_000_000
MAX_U64 = 2**64 - 1

# No two places of the data look alike, so that a wrong offset shows.
DATA = random.Random(1).randbytes(1 << 16)


@dataclasses.dataclass
class Case:
    name: str
    file: bytes
    expected: str | None = None  # ACCEPT, REFUSE, a class of deviation, or whatever they agree on


def file_of(header, data_bytes, length=None):
    header = header.encode() if isinstance(header, str) else header
    length = len(header) if length is None else length
    return struct.pack("<Q", length) + header + DATA[:data_bytes]


def tensor(name="a", dtype="U8", shape="[4]", offsets="[0,4]", more=""):
    return f'"{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}{more}}}'


def good(*members):
    return "{" + ",".join(members or [tensor()]) + "}"


def hand_made():
    return (files_and_lengths() + json_text() + every_dtype() + members() + numbers() + shapes()
            + covers() + metadata())


def made(expected, table):
    return [Case(name, file_of(header, data), expected) for name, header, data in table]


def files_and_lengths():
    whole = file_of(good(), 4)
    at_limit = good() + " " * (MAX_HEADER - len(good()))
    return [
        Case("no bytes at all", b"", REFUSE),
        Case("seven bytes", whole[:7], REFUSE),
        Case("only a prefix of zero", struct.pack("<Q", 0), REFUSE),
        Case("a file that is right", whole, ACCEPT),
        Case("header cut by a byte", whole[: 8 + len(good()) - 1], REFUSE),
        Case("data cut by a byte", whole[:-1], REFUSE),
        Case("a byte after the data", whole + b"x", REFUSE),
        Case("length one too small", file_of(good(), 4, len(good()) - 1), REFUSE),
        Case("length one too large", file_of(good(), 4, len(good()) + 1), REFUSE),
        Case("length to the end of the file", file_of(good(), 4, len(good()) + 4), REFUSE),
        Case("length past the end", file_of(good(), 4, len(good()) + 5), REFUSE),
        Case("length of 2^63", file_of(good(), 4, 2**63), REFUSE),
        Case("length of 2^64-1", file_of(good(), 4, MAX_U64), REFUSE),
        Case("length of 2^64-8", file_of(good(), 4, MAX_U64 - 7), REFUSE),
        Case("length in big-endian", struct.pack(">Q", len(good())) + whole[8:], REFUSE),
        Case("header of exactly the limit", file_of(at_limit, 4), ACCEPT),
        Case("header one over the limit", file_of(at_limit + " ", 4), REFUSE),
    ]


def json_text():
    return made(ACCEPT, [
        ("no tensors, no data", "{}", 0),
        ("padding of spaces", good() + " " * 7, 4),
        ("white space between tokens", good().replace(":", " :\n ").replace(",", "\t, \r"), 4),
        ("name of no bytes", good(tensor("")), 4),
        ("name with a NUL", good(tensor("\\u0000")), 4),
        ("name with every short escape", good(tensor(r"\"\\\/\b\f\n\r\t")), 4),
        ("name in four scripts", good(tensor("aß漢😀")), 4),
        ("name with a pair of surrogates", good(tensor(r"\ud83d\uDE00")), 4),
        ("name with DEL and U+0085", good(tensor("\x7f\u0085")), 4),
        ("name of 4096 bytes", good(tensor("n" * 4096)), 4),
        ("keys written with escapes", good(tensor()).replace("dtype", r"d\u0074ype"), 4),
        ("name that only looks like metadata", good(tensor("__metadata__ ")), 4),
    ]) + made(REFUSE, [
        ("header of no bytes", "", 0),
        ("an array", "[]", 0),
        ("null", "null", 0),
        ("a number", "1", 0),
        ("byte order mark", b"\xef\xbb\xbf" + good().encode(), 4),
        ("not closed", good()[:-1], 4),
        ("closed twice", good() + "}", 4),
        ("two objects", good() + "{}", 4),
        ("padding of NULs", good() + "\0\0", 4),
        ("comma before the end", good()[:-1] + ",}", 4),
        ("comma at the front", "{," + good()[1:], 4),
        ("comment", good() + "//", 4),
        ("single quotes", good().replace('"', "'"), 4),
        ("name without quotes", good().replace('"a"', "a"), 4),
        ("byte that is not UTF-8", good(tensor("n")).encode().replace(b"n", b"\xff", 1), 4),
        ("overlong UTF-8", good(tensor("N")).encode().replace(b"N", b"\xc0\xaf", 1), 4),
        ("surrogate in UTF-8", good(tensor("N")).encode().replace(b"N", b"\xed\xa0\x80", 1), 4),
        ("lone high surrogate", good(tensor(r"\ud800")), 4),
        ("lone low surrogate", good(tensor(r"\udc00")), 4),
        ("surrogates the wrong way round", good(tensor(r"\ude00\ud83d")), 4),
        ("escape of three digits", good(tensor(r"\u00g")), 4),
        ("unknown escape", good(tensor(r"\x41")), 4),
        ("line end in a name", good(tensor("\n")), 4),
        ("NUL in a name", good(tensor("\0")), 4),
    ]) + made("leading-space", [
        ("space before the brace", " " + good(), 4),
        ("line end before the brace", "\n" + good(), 4),
    ]) + made("padding", [
        ("padding of line ends", good() + "\n", 4),
        ("padding of tabs", good() + " \t ", 4),
    ]) + made("name-length", [("name of 4097 bytes", good(tensor("n" * 4097)), 4)])


def every_dtype():
    fits = [(f"dtype {name}", good(tensor("a", name, "[8]", f"[0,{bits}]")), bits)
            for name, bits in BITS.items()]
    unknown = [(f"dtype {name!r}", good(tensor("a", name, "[4]", "[0,4]")), 4)
               for name in ("", "u8", "U8 ", "E8M0", "F8", "U4", "C128", "float32", "F8_E4M3FN")]
    return made(ACCEPT, fits) + made(REFUSE, unknown) + made(REFUSE, [
        ("half a byte of F4", good(tensor("a", "F4", "[3]", "[0,1]")), 1),
        ("half a byte of F4, rounded up", good(tensor("a", "F4", "[3]", "[0,2]")), 2),
        ("part of a byte of F6", good(tensor("a", "F6_E2M3", "[5]", "[0,4]")), 4),
        ("dtype null", good().replace('"U8"', "null"), 4),
        ("dtype a number", good().replace('"U8"', "4"), 4),
        ("dtype an object of two", good().replace('"U8"', '{"U8":null,"I8":null}'), 4),
    ]) + made("dtype-as-object", [
        ("dtype an object of one", good().replace('"U8"', '{"U8":null}'), 4),
    ])


def members():
    deep = lambda depth: ',"x":' + "[" * depth + "]" * depth
    return made(ACCEPT, [
        ("members in another order", '{"a":{"data_offsets":[0,4],"shape":[4],"dtype":"U8"}}', 4),
        ("member that nobody knows", good(tensor(more=',"x":[null,true,{"y":-1.5e+3}]')), 4),
        ("member that nobody knows twice", good(tensor(more=',"x":1,"x":2')), 4),
        ("member of no name", good(tensor(more=',"":1')), 4),
        ("member with a number past 2^64", good(tensor(more=',"x":99999999999999999999999')), 4),
        ("member 125 deep", good(tensor(more=deep(125))), 4),
    ]) + made(REFUSE, [
        ("tensor null", '{"a":null}', 0),
        ("tensor a string", '{"a":"U8"}', 0),
        ("tensor an array of two", '{"a":["U8",[4]]}', 4),
        ("no dtype", '{"a":{"shape":[4],"data_offsets":[0,4]}}', 4),
        ("no shape", '{"a":{"dtype":"U8","data_offsets":[0,4]}}', 4),
        ("no data_offsets", '{"a":{"dtype":"U8","shape":[4]}}', 4),
        ("dtype twice", good(tensor(more=',"dtype":"U8"')), 4),
        ("shape twice", good(tensor(more=',"shape":[4]')), 4),
        ("data_offsets twice", good(tensor(more=',"data_offsets":[0,4]')), 4),
        ("key in capitals", good().replace("dtype", "DTYPE"), 4),
        ("member 126 deep", good(tensor(more=deep(126))), 4),
        ("member with a number past any double", good(tensor(more=',"x":1e999')), 4),
        ("member with a lone surrogate", good(tensor(more=r',"x":"\ud800"')), 4),
        ("member not a word", good(tensor(more=',"x":nul')), 4),
        ("member NaN", good(tensor(more=',"x":NaN')), 4),
        ("member .5", good(tensor(more=',"x":.5')), 4),
    ]) + made("tensor-as-array", [
        ("tensor an array of three", '{"a":["U8",[4],[0,4]]}', 4),
    ]) + made("tiny-number", [
        ("member with a number below any double", good(tensor(more=',"x":1e-999')), 4),
    ])


def numbers():
    bad = ["-4", "-0", "+4", "4.0", "4.", "4e0", "04", "0x4", '"4"', "null", "true", "[4]", "{}",
           "18446744073709551616", "99999999999999999999999999", "Infinity", "4 4", ""]
    return (made(REFUSE, [(f"dimension {n!r}", good(tensor(shape=f"[{n}]")), 4) for n in bad if n])
            + made(REFUSE, [(f"begin {n!r}", good(tensor(offsets=f"[{n},4]")), 4) for n in bad])
            + made(REFUSE, [(f"end {n!r}", good(tensor(offsets=f"[0,{n}]")), 4) for n in bad]))


def shapes():
    half = 2**32
    return made(ACCEPT, [
        ("scalar", good(tensor(shape="[]", offsets="[0,1]")), 1),
        ("no elements", good(tensor(shape="[0]", offsets="[0,0]")), 0),
        ("no elements of many", good(tensor(shape=f"[0,{MAX_U64},{MAX_U64}]", offsets="[0,0]")), 0),
        ("64 dimensions", good(tensor(shape="[4" + ",1" * 63 + "]")), 4),
    ]) + made(REFUSE, [
        ("shape null", good(tensor(shape="null")), 4),
        ("shape an object", good(tensor(shape="{}")), 4),
        ("shape of more bytes", good(tensor(shape="[5]")), 4),
        ("shape of fewer bytes", good(tensor(shape="[3]")), 4),
        ("product past 2^64", good(tensor(shape=f"[{half},{half}]", offsets="[0,0]")), 0),
        ("product that wraps to 4", good(tensor(shape=f"[{half + 2},{half - 2}]")), 4),
        ("product past 2^64 before a zero", good(tensor(shape=f"[{MAX_U64},2,0]", offsets="[0,0]")), 0),
        ("bits past 2^64", good(tensor(shape=f"[{2**61}]", offsets="[0,0]")), 0),
        ("bits past 2^64 of F4", good(tensor("a", "F4", f"[{2**62}]", "[0,0]")), 0),
        ("bits just below 2^64", good(tensor(shape=f"[{2**61 - 1}]", offsets=f"[0,{2**61 - 1}]")), 4),
        ("one offset", good(tensor(offsets="[0]")), 4),
        ("three offsets", good(tensor(offsets="[0,4,4]")), 4),
        ("offsets null", good(tensor(offsets="null")), 4),
        ("offsets an object", good(tensor(offsets='{"0":0,"1":4}')), 4),
    ]) + made("dimensions", [("65 dimensions", good(tensor(shape="[4" + ",1" * 64 + "]")), 4)])


def covers():
    a = tensor()
    chain = [tensor(f"t{i}", "U8", f"[{2**61 - 1}]", f"[{i * (2**61 - 1)},{(i + 1) * (2**61 - 1)}]")
             for i in range(8)]
    return made(ACCEPT, [
        ("two tensors, second first", good(tensor("b", "U8", "[2]", "[4,6]"), a), 6),
        ("no bytes at the start", good(a, tensor("z", "F32", "[0]", "[0,0]")), 4),
        ("no bytes in the middle",
         good(a, tensor("z", "F32", "[0]", "[4,4]"), tensor("b", "U8", "[1]", "[4,5]")), 5),
        ("no bytes at the end, two of them",
         good(tensor("z", "F32", "[0]", "[4,4]"), tensor("y", "F32", "[2,0]", "[4,4]"), a), 4),
        ("tensors that start at odd bytes",
         good(tensor("a", "U8", "[1]", "[0,1]"), tensor("b", "F64", "[1]", "[1,9]")), 9),
        ("three hundred tensors",
         good(*[tensor(f"t{i}", "U8", "[1]", f"[{i},{i + 1}]") for i in range(300)]), 300),
    ]) + made(REFUSE, [
        ("data without tensors", "{}", 1),
        ("hole at the start", good(tensor(offsets="[1,5]")), 5),
        ("hole in the middle", good(a, tensor("b", "U8", "[1]", "[5,6]")), 6),
        ("hole at the end", good(a), 5),
        ("overlap by a byte", good(a, tensor("b", "U8", "[2]", "[3,5]")), 5),
        ("the same bytes twice", good(a, tensor("b")), 4),
        ("end before begin", good(tensor(shape="[0]", offsets="[4,0]")), 4),
        ("no bytes inside another", good(a, tensor("z", "U8", "[0]", "[2,2]")), 4),
        ("no bytes past the end", good(a, tensor("z", "U8", "[0]", "[5,5]")), 4),
        ("end past the file", good(tensor(shape="[5]", offsets="[0,5]")), 4),
        ("eight tensors of 2^61 bytes", good(*chain), 4),
    ]) + made("duplicate-name", [
        ("name twice, the same bytes", good(a, a), 4),
        ("name twice, other bytes", good(a, tensor("a", "I8", "[4]", "[0,4]")), 4),
        ("name twice, once with an escape", good(a, tensor(r"\u0061")), 4),
    ])


def metadata():
    with_metadata = lambda text: good(f'"__metadata__":{text}', tensor())
    keys = lambda count: "{" + ",".join(f'"{i}":""' for i in range(count)) + "}"
    return made(ACCEPT, [
        ("metadata of nothing", with_metadata("{}"), 4),
        ("metadata of strings", with_metadata('{"format":"pt","":"\\u00e9\\n"}'), 4),
        ("metadata of 65536 keys", with_metadata(keys(65536)), 4),
        ("metadata at the end", good(tensor(), '"__metadata__":{"a":"b"}'), 4),
        ("metadata written with an escape", good(r'"\u005f_metadata__":{"a":"b"}', tensor()), 4),
    ]) + made(REFUSE, [
        ("metadata an array", with_metadata("[]"), 4),
        ("metadata a string", with_metadata('"a"'), 4),
        ("metadata a tensor", good(tensor("__metadata__")), 4),
        ("metadata of a number", with_metadata('{"a":1}'), 4),
        ("metadata of null", with_metadata('{"a":null}'), 4),
        ("metadata of an object", with_metadata('{"a":{}}'), 4),
        ("metadata twice", good('"__metadata__":{}', '"__metadata__":{}', tensor()), 4),
    ]) + made("metadata-keys", [
        ("metadata of 65537 keys", with_metadata(keys(65537)), 4),
    ]) + made("null-metadata", [("metadata null", with_metadata("null"), 4)]) + made(
        "duplicate-metadata", [("metadata key twice", with_metadata('{"a":"b","a":"b"}'), 4)])


# Mutation. A header is a list of pairs, so that a key can stand twice.


@dataclasses.dataclass
class Draft:
    members: list
    data_bytes: int


def random_draft(rng):
    """A file that is right: up to 5 tensors, some of no bytes, in any order."""
    members, at = [], 0
    for i in range(rng.randrange(6)):
        dtype = rng.choice(list(BITS))
        shape = [rng.choice([0, 1, 1, 2, 2, 3, 4]) for _ in range(rng.randrange(4))]
        if BITS[dtype] % 8:
            shape.append(4)
        size = BITS[dtype]
        for dimension in shape:
            size *= dimension
        end = at + size // 8
        name = rng.choice(["w", "a.b", "é", ""]) + str(i)
        members.append([name, [["dtype", dtype], ["shape", shape], ["data_offsets", [at, end]]]])
        at = end
    rng.shuffle(members)
    if rng.random() < 0.4:
        members.insert(rng.randrange(len(members) + 1),
                       ["__metadata__", [["format", "pt"], ["note", "x"]]])
    return Draft(members, at)


def written(value):
    """JSON: a list of pairs that begin with strings is an object, any other an array."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, list) and value and all(isinstance(v, list) and len(v) == 2
                                                 and isinstance(v[0], str) for v in value):
        return "{" + ",".join(f"{json.dumps(k)}:{written(v)}" for k, v in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


@dataclasses.dataclass
class Raw:
    text: str


VALUES = ["null", "true", "0", "1", "4", "-1", "1.5", "1e2", '""', '"U8"', "[]", "[0]", "[0,4]", "{}",
          '{"a":"b"}', "18446744073709551615", "18446744073709551616", '{"U8":null}',
          '["U8",[0],[0,0]]']
NUMBERS = ["0", "1", "2", "4", "8", "16", "-1", "-0", "01", "1.0", "1e1", "4294967296",
           "2305843009213693952", "9223372036854775807", "9223372036854775808",
           "18446744073709551615", "18446744073709551616"]
CHARACTERS = b'{}[]":,\\ \t\n\0 -+.eE0129aunt/\x7f\x80\xc3\xa9\xff'


def tensors_of(draft):
    return [member for member in draft.members if member[0] != "__metadata__"]


def swap_dtype(rng, draft):
    for member in tensors_of(draft)[:1]:
        old = member[1][0][1]
        same = [name for name in BITS if BITS[name] == BITS[old]]
        member[1][0][1] = rng.choice(same * 2 + list(BITS) + ["f32", "C128", ""])


def shuffle_offsets(rng, draft):
    tensors = tensors_of(draft)
    if len(tensors) >= 2:
        one, two = rng.sample(tensors, 2)
        one[1][2], two[1][2] = two[1][2], one[1][2]


def shift_offsets(rng, draft):
    for member in rng.sample(tensors_of(draft), min(1, len(tensors_of(draft)))):
        side, by = rng.randrange(2), rng.choice([-8, -1, 1, 2, 8])
        member[1][2][1][side] = max(0, member[1][2][1][side] + by)


def reshape(rng, draft):
    """Often to another shape of as many elements."""
    for member in tensors_of(draft)[:1]:
        shape = member[1][1][1]
        rng.choice([lambda: shape.append(rng.choice([1, 1, 0, 2])), lambda: rng.shuffle(shape),
                    lambda: shape and shape.pop()])()


def rename(rng, draft):
    if draft.members:
        rng.choice(draft.members)[0] = rng.choice(
            ["", "new", "w0", "w1", "__metadata__", "\u0000", "n" * 5000, "漢"])


def place_in(rng, draft):
    """A list of members to change: the header's or a tensor's."""
    inner = [member[1] for member in draft.members if isinstance(member[1], list)]
    return rng.choice([draft.members] + inner)


def remove_member(rng, draft):
    members = place_in(rng, draft)
    if members:
        members.pop(rng.randrange(len(members)))


def repeat_member(rng, draft):
    members = place_in(rng, draft)
    if members:
        members.insert(rng.randrange(len(members) + 1), rng.choice(members))


def add_member(rng, draft):
    members = place_in(rng, draft)
    members.insert(rng.randrange(len(members) + 1), [rng.choice(["x", "", "dtype"]),
                                                      Raw(rng.choice(VALUES))])


def replace_value(rng, draft):
    members = place_in(rng, draft)
    if members:
        rng.choice(members)[1] = Raw(rng.choice(VALUES))


def reorder(rng, draft):
    rng.shuffle(place_in(rng, draft))


def add_no_bytes(rng, draft):
    at = rng.randrange(draft.data_bytes + 1)
    ends = [member[1][2][1][1] for member in tensors_of(draft)] + [0]
    at = rng.choice(ends + [at])
    draft.members.append(["none", [["dtype", "F32"], ["shape", [0]], ["data_offsets", [at, at]]]])


def change_data_size(rng, draft):
    draft.data_bytes = max(0, draft.data_bytes + rng.choice([-8, -1, 1, 8]))


def edit_number(rng, header):
    spans = [match.span() for match in re.finditer(rb"\d+", header)]
    if not spans:
        return header
    begin, end = rng.choice(spans)
    return header[:begin] + rng.choice(NUMBERS).encode() + header[end:]


def flip_bits(rng, header):
    changed = bytearray(header)
    for _ in range(rng.choice([1, 1, 1, 3])):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def replace_byte(rng, header):
    at = rng.randrange(len(header))
    return header[:at] + bytes([rng.choice(CHARACTERS)]) + header[at + 1:]


def insert_byte(rng, header):
    at = rng.randrange(len(header) + 1)
    return header[:at] + bytes([rng.choice(CHARACTERS)]) + header[at:]


def remove_bytes(rng, header):
    at = rng.randrange(len(header))
    return header[:at] + header[at + rng.choice([1, 1, 2, 8]):]


def cut_header(rng, header):
    return header[: rng.randrange(len(header))]


def repeat_bytes(rng, header):
    begin = rng.randrange(len(header))
    end = min(len(header), begin + rng.randrange(1, 60))
    return header[:end] + header[begin:]


def add_white_space(rng, header):
    spots = [0, len(header)] + [m.start() for m in re.finditer(rb"[{}\[\]:,]", header)]
    at = rng.choice(spots)
    return header[:at] + rng.choice([b" ", b"    ", b"\n", b"\t", b"\r\n"]) + header[at:]


def escape_character(rng, header):
    spots = [m.start() for m in re.finditer(rb"[a-zA-Z_0-9]", header)]
    if not spots:
        return header
    at = rng.choice(spots)
    return header[:at] + b"\\u%04x" % header[at] + header[at + 1:]


def cut_file(rng, file):
    return file[: rng.randrange(len(file))]


def change_length(rng, file):
    length = struct.unpack_from("<Q", file)[0] + rng.choice([-8, -1, 1, 8, 2**31, 2**62])
    return struct.pack("<Q", max(0, length)) + file[8:]


OF_DRAFT = [swap_dtype, shuffle_offsets, shift_offsets, reshape, rename, remove_member, repeat_member,
            add_member, replace_value, reorder, add_no_bytes, change_data_size]
OF_HEADER = [edit_number, edit_number, flip_bits, flip_bits, replace_byte, insert_byte, remove_bytes,
             cut_header, repeat_bytes, add_white_space, escape_character]
OF_FILE = [cut_file, change_length]
# At most one of a draft, which must be whole for it.
PLANS = [(OF_DRAFT,), (OF_DRAFT,), (OF_HEADER,), (OF_HEADER,), (OF_FILE,), (OF_DRAFT, OF_HEADER),
         (OF_HEADER, OF_HEADER), (OF_HEADER, OF_FILE)]


def mutated(seed, count):
    """`count` files, each one or two mutations away from a file that is right."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        draft = random_draft(rng)
        steps = [rng.choice(of) for of in rng.choice(PLANS)]
        for step in steps:
            if step in OF_DRAFT:
                step(rng, draft)
        header = object_text(draft.members) + b" " * rng.choice([0, 0, 3])
        for step in steps:
            if step in OF_HEADER and header:
                header = step(rng, header)
        file = file_of(header, draft.data_bytes)
        for step in steps:
            if step in OF_FILE:
                file = step(rng, file)
        names = " and ".join(step.__name__ for step in steps)
        found.append(Case(f"mutated {number}: {names}", file))
    return found


def object_text(members):
    return (written(members) if members else "{}").encode()
