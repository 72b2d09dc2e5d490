"""The table, and the data behind it."""

import csv
import datetime
import json
import os
import platform
import subprocess

from .stage import ROOT

COLUMNS = ("name", "gib_per_second", "seconds", "seconds_min", "seconds_max",
           "cpu_seconds_per_gib", "peak_rss_bytes")


def first_line(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else ""


def machine():
    model = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
             if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (f"{os.cpu_count()} cores ({model[0] if model else platform.machine()}), "
            f"{memory:.0f} GiB, Linux {platform.release()}")


def versions():
    return {
        "weighbridge": first_line("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
        "nginx": first_line("nginx", "-v").removeprefix("nginx version: "),
        "curl": first_line("curl", "--version").split(" (")[0],
        "fio": first_line("fio", "--version"),
        "peers": peer_versions(),
    }


def peer_versions():
    """The pins that tools/peers-env installs, for they are what runs."""
    for line in (ROOT / "tools/peers-env").read_text(encoding="utf-8").splitlines():
        if line.startswith("peers=("):
            return line.removeprefix("peers=(").rstrip(")")
    return ""


def heading(command, pairs):
    return {"when": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "command": command, "pairs": pairs, "machine": machine(), "versions": versions()}


def without_root(summary):
    """The command as it reads anywhere."""
    return {**summary, "command": summary["command"].replace(f"{ROOT}/", "")}


def as_data(name, title, result):
    return {
        "row": name,
        "title": title,
        "contenders": [without_root(contender.summary()) for contender in result.contenders],
        "targets": [{"text": target.text, "value": target.value, "unit": target.unit,
                     "bound": target.bound(), "met": target.met()} for target in result.targets],
        "remarks": result.remarks,
    }


def print_heading(head):
    print(f"{head['machine']}; {head['when']}")
    print("; ".join(f"{name} {version}" for name, version in head["versions"].items()))
    print(f"median of {head['pairs']} alternating turns (min - max); CPU of the process itself\n")


def verdict(target):
    return {True: "met", False: "MISSED", None: ""}[target["met"]]


def print_row(row):
    print(f"== {row['row']}: {row['title']}")
    if row["contenders"]:
        print(f"   {'':<36} {'GiB/s':>6}  {'seconds':>22}  {'CPU-s/GiB':>9}  {'peak RSS':>9}")
    for one in row["contenders"]:
        spread = f"{one['seconds']:.3f} ({one['seconds_min']:.3f} - {one['seconds_max']:.3f})"
        print(f"   {one['name']:<36} {one['gib_per_second']:6.2f}  {spread:>22}  "
              f"{one['cpu_seconds_per_gib']:9.3f}  {one['peak_rss_bytes'] / 2**20:5.0f} MiB")
    for remark in row["remarks"]:
        print(f"   {remark}")
    for target in row["targets"]:
        value = f"{target['value']:.2f} {target['unit']}".strip()
        print(f"   -> {value} {target['text']}"
              + (f"  ({target['bound']}: {verdict(target)})" if target["bound"] else ""))
    print(flush=True)


def print_summary(rows, failures):
    print("== targets")
    for row in rows:
        for target in row["targets"]:
            if target["bound"]:
                value = f"{target['value']:.2f} {target['unit']}".strip()
                print(f"   {verdict(target):<7} {row['row']:<22} {value:>10} "
                      f"{target['bound']:<14} {target['text']}")
    for name, why in failures.items():
        print(f"   FAILED  {name:<22} {why}")


def write(directory, head, rows, failures):
    directory.mkdir(parents=True, exist_ok=True)
    data = {**head, "rows": rows, "failures": failures}
    (directory / "results.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    with open(directory / "results.csv", "w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("row", *COLUMNS))
        for row in rows:
            for one in row["contenders"]:
                writer.writerow((row["row"], *(one[column] for column in COLUMNS)))
