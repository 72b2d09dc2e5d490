#include "turns.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include <sys/mman.h>
#include <sys/resource.h>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"

namespace weighbridge::bench {
namespace {

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

rusage usage() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage;
}

// Standard output is a pipe: whoever reads it waits for this line.
void say(const std::string& line) {
  std::puts(line.c_str());
  std::fflush(stdout);
}

}  // namespace

double wall_seconds() {
  const auto wall = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(wall).count();
}

Cost now() {
  const rusage used = usage();
  return {wall_seconds(), seconds(used.ru_utime) + seconds(used.ru_stime)};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void fail(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(1);
}

std::uint64_t number(std::string_view text) {
  const auto parsed = base::parse_decimal(text);
  if (!parsed) {
    fail(fmt::format("'{}' is not a number", text));
  }
  return *parsed;
}

HugeMemory::HugeMemory(std::uint64_t bytes) {
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    fail("no memory");
  }
  ::madvise(memory, bytes, MADV_HUGEPAGE);
  memory_ = {static_cast<std::byte*>(memory), bytes};
}

HugeMemory::~HugeMemory() {
  ::munmap(memory_.data(), memory_.size());
}

void serve_turns(const Turns& turns) {
  say(R"({"ready": true})");
  for (std::string word; std::getline(std::cin, word);) {
    if (word == "digest") {
      say(fmt::format(R"({{"digest": "{}"}})", turns.digest()));
    } else {
      Turn turn;
      const Cost cost = measure([&] { turn = turns.work(word); });
      const std::uint64_t peak = static_cast<std::uint64_t>(usage().ru_maxrss) * base::kKiB;
      say(fmt::format(
          R"({{"seconds": {}, "cpu_seconds": {}, "bytes": {}, "peak_rss_bytes": {}{}}})",
          cost.wall_seconds,
          cost.cpu_seconds,
          turn.bytes,
          peak,
          turn.notes));
    }
    turns.clean_up();
  }
}

}  // namespace weighbridge::bench
