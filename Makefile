# Thin on purpose: each target names the commands you could type yourself. All of them install what
# they need first (tools/setup), which does nothing where it is there already.

JOBS ?= $(shell nproc)
RUNS ?= 1000000

.PHONY: weighbridge demo test check bench fuzz torture clean

# The program: build/release/bin/weighbridge.
weighbridge:
	tools/setup build
	cmake --preset release
	cmake --build --preset release --target weighbridge -j $(JOBS)

# A real model: sealed, served, loaded, each kind of damage caught; kept in a store, pushed to a
# registry and loaded from there.
demo: weighbridge
	tools/setup test
	cmake --build --preset release --target fault_server -j $(JOBS)
	tools/demo

# Every test, tools/check among them. The counts stand in the closing lines.
test:
	tools/setup build test check
	cmake --preset dev
	cmake --build --preset dev -j $(JOBS)
	ctest --preset dev -j $(JOBS)

# Style and layering, each header by itself, and clang-tidy on everything: minutes.
check:
	tools/setup build test check clang
	tools/check --all

# The measured claims, against references and peers in the same run. BENCH: see tools/bench.
bench: weighbridge
	tools/setup test bench
	cmake --build --preset release -j $(JOBS)
	tools/peers-env
	tools/bench $(BENCH)

# Each fuzz target RUNS times.
fuzz:
	tools/setup build clang
	cmake --preset fuzz
	cmake --build --preset fuzz -j $(JOBS)
	tools/fuzz $(RUNS)

# What `make test` does a slice of, in full: every call of the file system fails, is killed, or loses
# what was not synced; 1,000 pulls are killed; eight processes share a home for a minute.
torture:
	tools/setup build test
	cmake --preset dev
	cmake --build --preset dev -j $(JOBS)
	WB_FULL_SWEEP=1 ctest --preset dev -R Sweep --verbose
	tools/python-env tests/torture.py build/dev/bin/weighbridge build/dev/bin/fault_server

clean:
	rm -rf build
