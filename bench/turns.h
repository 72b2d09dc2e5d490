#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// What the programs of bench/ share: the cost of a piece of work, memory like that of a loader, and
// turns taken on the word of whoever compares several programs.
namespace weighbridge::bench {

struct Cost {
  double wall_seconds = 0;
  double cpu_seconds = 0;  // of this process, user and system
};

// What a clock says at this moment; cheap enough to be asked for each of many tensors.
double wall_seconds();

// The same, and what the kernel says of this process; the difference of two is a cost.
Cost now();

template <typename Work>
Cost measure(Work&& work) {
  const Cost before = now();
  work();
  const Cost after = now();
  return {after.wall_seconds - before.wall_seconds, after.cpu_seconds - before.cpu_seconds};
}

double median(std::vector<double> values);

// Says why on standard error and ends the program.
[[noreturn]] void fail(const std::string& why);

template <typename T>
T must(base::Result<T> result) {
  if (!result.ok()) {
    fail(result.error().message());
  }
  return std::move(result).value();
}

// The number that `text` is, or fail().
std::uint64_t number(std::string_view text);

// Memory in pages of 2 MiB where the kernel gives them, untouched. Thread-compatible.
class HugeMemory {
 public:
  explicit HugeMemory(std::uint64_t bytes);
  HugeMemory(const HugeMemory&) = delete;
  HugeMemory& operator=(const HugeMemory&) = delete;
  ~HugeMemory();

  std::span<std::byte> bytes() const { return memory_; }

 private:
  std::span<std::byte> memory_;
};

// What one turn moved. `notes`: further members of the JSON object, each with its comma in front.
struct Turn {
  std::uint64_t bytes = 0;
  std::string notes;
};

struct Turns {
  // The work of one turn, timed; `word` is the line that asked for it.
  std::function<Turn(const std::string& word)> work;
  // After each turn, not timed.
  std::function<void()> clean_up = [] {};
  // SHA-256 of "name sha256\n" of all tensors by name, not timed; only programs that load tensors.
  std::function<std::string()> digest = [] { return std::string(); };
};

// Prints {"ready": true} and then, for each line of standard input, one JSON object: for "digest"
// {digest}, else {seconds, cpu_seconds, bytes, peak_rss_bytes} of a turn. Returns at the end of
// input.
void serve_turns(const Turns& turns);

}  // namespace weighbridge::bench
