"""One picture of all rows: bars of GiB/s, ours first, and what each target came to.

Text and lines are grey of middle lightness, so that it reads on white and on black paper.
"""

from xml.sax.saxutils import escape

WIDTH = 980
LABEL = 290        # where bars begin
BAR = 440          # the longest of them
LINE = 20
GAP = 34
INK = "#7d8590"
OURS = "#2f81f7"
OTHERS = "#8b949e"
MET = "#3fb950"
MISSED = "#e5534b"
SIZE = {"title": 18, "row": 14, "text": 12}


def text(x, y, words, size="text", fill=INK, weight="normal", anchor="start"):
    return (f'<text x="{x:g}" y="{y:g}" font-size="{SIZE[size]}" fill="{fill}" '
            f'font-weight="{weight}" text-anchor="{anchor}">{escape(words)}</text>')


def bar(y, one, scale, fill):
    width = max(1, one["gib_per_second"] * scale)
    low = LABEL + one["bytes"] / 2**30 / one["seconds_max"] * scale
    high = LABEL + one["bytes"] / 2**30 / one["seconds_min"] * scale
    middle = y - 4
    return [
        text(LABEL - 8, y, one["name"], anchor="end"),
        f'<rect x="{LABEL}" y="{y - 11:g}" width="{width:.1f}" height="14" rx="2" fill="{fill}" '
        'fill-opacity="0.75"/>',
        f'<path d="M{low:.1f} {middle:g}H{high:.1f}M{low:.1f} {middle - 4:g}v8M{high:.1f} '
        f'{middle - 4:g}v8" stroke="{INK}" stroke-width="1" fill="none"/>',
        text(max(LABEL + width, high) + 8, y,
             f'{one["gib_per_second"]:.2f} GiB/s, {one["cpu_seconds_per_gib"]:.2f} CPU-s/GiB'),
    ]


def target_line(y, target):
    colour = {True: MET, False: MISSED, None: INK}[target["met"]]
    mark = {True: "met: ", False: "missed: ", None: ""}[target["met"]]
    bound = f' ({target["bound"]})' if target["bound"] else ""
    words = f'{mark}{target["value"]:.2f} {target["unit"]} {target["text"]}{bound}'
    return text(LABEL, y, " ".join(words.split()), fill=colour)


def row_parts(y, row):
    parts = [text(16, y, row["title"], "row", weight="bold")]
    # No bar leaves the picture, nor does the end of its spread.
    most = max((one["bytes"] / 2**30 / one["seconds_min"] for one in row["contenders"]), default=1)
    for one in row["contenders"]:
        y += LINE
        fill = OURS if one["name"].startswith("weighbridge") else OTHERS
        parts += bar(y, one, BAR / most, fill)
    for target in row["targets"]:
        y += LINE
        parts.append(target_line(y, target))
    return y, parts


def write(path, head, rows):
    y = 34
    parts = [text(16, y, "Weighbridge beside references and peers", "title", weight="bold"),
             text(16, y + 22, f'{head["machine"]}; {head["when"]}; {head["command"]}'),
             text(16, y + 40, f'median of {head["pairs"]} alternating turns, thin line: slowest to '
                              'fastest; CPU is that of the process itself')]
    y += 52
    for row in rows:
        y, drawn = row_parts(y + GAP, row)
        parts += drawn
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + GAP}" width="{WIDTH}" '
        f'height="{y + GAP}" font-family="system-ui, sans-serif">\n' + "\n".join(parts)
        + "\n</svg>\n", encoding="utf-8")
