"""Lets a CUDA build of torch be imported where the CUDA libraries are not installed.

PyPI has torch for x86 with CUDA only, and the libraries it names are several GB that a benchmark of
host memory never calls. Each missing one becomes a small library in torch/lib, which torch looks
through first, with the symbols that torch wants of it under the versions that it wants; each
function says 100, "no device". Run with the interpreter that has torch; needs gcc and binutils.
"""

import collections
import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def link_runtime(site, directory):
    """The one CUDA library that is installed."""
    for library in (site / "nvidia").rglob("libcudart.so.*"):
        link = directory / library.name
        if not link.exists():
            link.symlink_to(library)


class Wanted:
    """What the libraries of torch want of others."""

    def __init__(self, libraries):
        self.names = set()
        self.file_of_version = {}
        self.symbols = collections.defaultdict(set)  # by version
        for library in libraries:
            self.read(library)

    def read(self, library):
        text = output_of("readelf", "--dynamic", "--version-info", "--wide", str(library))
        self.names.update(re.findall(r"NEEDED.*\[(.*)\]", text))
        file = None
        for line in text.splitlines():
            if found := re.search(r"File: (\S+)", line):
                file = found.group(1)
            if (found := re.search(r"Name: (\S+)\s+Flags", line)) and file:
                self.file_of_version[found.group(1)] = file
        for line in output_of("nm", "--dynamic", "--with-symbol-versions",
                              str(library)).splitlines():
            fields = line.split()
            if len(fields) == 2 and fields[0] in "Uw":
                symbol, _, version = fields[1].partition("@")
                self.symbols[version.lstrip("@")].add(symbol)

    def of(self, name):
        """Symbols by version that must come from that library."""
        return {version: self.symbols[version]
                for version, file in self.file_of_version.items() if file == name}


def unversioned_cuda_symbols(wanted, libraries):
    defined = set()
    for library in libraries:
        for line in output_of("nm", "--dynamic", str(library)).splitlines():
            fields = line.split()
            if len(fields) == 3:
                defined.add(fields[2].partition("@")[0])
    cuda = re.compile(r"(cu[A-Z]|cublas|cudnn|cufft|cusparse|cusolver|cuFile|cupti|nccl|pnccl|nvrtc"
                      r"|nvshmem|nvtx|nvJit|nvml)")
    return {symbol for symbol in wanted.symbols[""] if cuda.match(symbol)} - defined


def write_stub(path, symbols_by_version, unversioned):
    symbols = set().union(*symbols_by_version.values()) if symbols_by_version else unversioned
    with tempfile.TemporaryDirectory() as work:
        source = Path(work, "stub.c")
        source.write_text("".join(f"int {symbol}(void) {{ return 100; }}\n"
                                  for symbol in sorted(symbols)) or "int wb_nothing;\n")
        command = ["gcc", "-w", "-fno-builtin", "-shared", "-fPIC", "-O1",
                   f"-Wl,-soname,{path.name}", "-o", str(path), str(source)]
        if symbols_by_version:
            script = Path(work, "stub.map")
            script.write_text("".join(f"{version} {{ global: {'; '.join(sorted(names))}; }};\n"
                                      for version, names in symbols_by_version.items() if names))
            command.insert(-1, f"-Wl,--version-script={script}")
        subprocess.run(command, check=True)


def main():
    site = Path(sysconfig.get_paths()["purelib"])
    directory = site / "torch/lib"
    link_runtime(site, directory)
    libraries = [path for path in directory.glob("lib*.so*")
                 if not path.is_symlink() and not path.name.startswith("libgomp")]
    wanted = Wanted(libraries)
    unversioned = unversioned_cuda_symbols(wanted, libraries)
    known = output_of("/sbin/ldconfig", "-p")
    for name in sorted(wanted.names):
        there = (directory / name).exists() or f"\t{name} " in known or name.startswith("ld-linux")
        if not there:
            write_stub(directory / name, wanted.of(name), unversioned)


if __name__ == "__main__":
    sys.exit(main())
