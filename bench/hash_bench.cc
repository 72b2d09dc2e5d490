// One thread over 1 GiB: our hash tree against `b3sum --num-threads 1` and the official hasher.
//
// Each turn runs all of them one after the other, so that a noisy machine is noisy for all; the
// medians are compared. b3sum runs as its users run it, its start included, in the faster of its
// two ways to read (mapped or not). Our tree runs twice: over memory, as bytes stand when they have
// just arrived, and reading the same file as b3sum does. Every digest must be the same.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <blake3.h>
#include <fmt/format.h>

#include "base/check.h"
#include "hash/hash_tree.h"

namespace weighbridge {
namespace {

constexpr std::size_t kBytes = std::size_t{1} << 30;
constexpr std::size_t kTurns = 7;

// 1 GiB in memory, and the same bytes in a file on tmpfs that goes with this object.
class Subject {
 public:
  Subject() : bytes_(kBytes) {
    std::mt19937_64 random(1);
    for (std::size_t at = 0; at < kBytes; at += sizeof(std::uint64_t)) {
      const std::uint64_t word = random();
      std::copy_n(reinterpret_cast<const std::byte*>(&word),
                  sizeof(word),
                  bytes_.begin() + static_cast<std::ptrdiff_t>(at));
    }
    descriptor_ = ::mkostemp(path_.data(), O_CLOEXEC);
    WB_CHECK(descriptor_ >= 0, "cannot create a file in /dev/shm");
    for (std::size_t at = 0; at < kBytes;) {
      const ssize_t written = ::write(descriptor_, bytes_.data() + at, kBytes - at);
      WB_CHECK(written > 0, "/dev/shm needs 1 GiB");
      at += static_cast<std::size_t>(written);
    }
  }

  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;

  ~Subject() {
    ::close(descriptor_);
    ::unlink(path_.c_str());
  }

  std::span<const std::byte> bytes() const { return bytes_; }

  const std::string& path() const { return path_; }

  int descriptor() const { return descriptor_; }

 private:
  std::vector<std::byte> bytes_;
  std::string path_ = "/dev/shm/weighbridge-hash-bench-XXXXXX";
  int descriptor_ = -1;
};

std::string b3sum(const Subject& subject, std::string_view way) {
  const std::string command =
      fmt::format("b3sum --no-names --num-threads 1 {} {}", way, subject.path());
  FILE* const pipe = ::popen(command.c_str(), "r");
  std::array<char, 65> hex{};
  const bool read = pipe != nullptr && std::fgets(hex.data(), hex.size(), pipe) != nullptr;
  WB_CHECK(read && ::pclose(pipe) == 0, "b3sum did not run: apt-get install b3sum");
  return hex.data();
}

std::string official(const Subject& subject) {
  blake3_hasher hasher;
  blake3_hasher_init(&hasher);
  blake3_hasher_update(&hasher, subject.bytes().data(), subject.bytes().size());
  hash::Root root;
  blake3_hasher_finalize(
      &hasher, reinterpret_cast<std::uint8_t*>(root.bytes.data()), root.bytes.size());
  return root.hex();
}

std::string tree_over_memory(const Subject& subject) {
  return hash::hash_bytes(subject.bytes()).hex();
}

// 64 KiB a read, as b3sum reads.
std::string tree_over_file(const Subject& subject) {
  hash::PieceHasher hasher;
  std::vector<hash::ChainingValue> pieces(hash::piece_count(kBytes));
  std::vector<std::byte> buffer(std::size_t{64} * 1024);
  for (std::uint64_t piece = 0; piece < pieces.size(); ++piece) {
    hasher.start(piece);
    const base::Range range = hash::piece_range(piece, kBytes);
    for (std::uint64_t at = range.begin; at < range.end; at += buffer.size()) {
      const ssize_t got =
          ::pread(subject.descriptor(), buffer.data(), buffer.size(), static_cast<off_t>(at));
      WB_CHECK(got == static_cast<ssize_t>(buffer.size()), "cannot read /dev/shm");
      hasher.update(buffer);
    }
    pieces[piece] = hasher.finish_piece();
  }
  return hash::merge_pieces(pieces).hex();
}

struct Contender {
  std::string name;
  std::function<std::string(const Subject&)> hash;
  std::vector<double> seconds;
};

double time_of(Contender& contender, const Subject& subject, const std::string& expected) {
  const auto begin = std::chrono::steady_clock::now();
  const std::string root = contender.hash(subject);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  WB_CHECK(root == expected, "the roots differ");
  return took.count();
}

double gib_per_second(const Contender& contender) {
  std::vector<double> sorted = contender.seconds;
  std::sort(sorted.begin(), sorted.end());
  return 1.0 / sorted[sorted.size() / 2];
}

void run() {
  const Subject subject;
  const std::string expected = official(subject);
  Contender mapped{"b3sum, mapped", [](const Subject& s) { return b3sum(s, ""); }, {}};
  Contender unmapped{"b3sum --no-mmap", [](const Subject& s) { return b3sum(s, "--no-mmap"); }, {}};
  const bool map = time_of(mapped, subject, expected) < time_of(unmapped, subject, expected);
  std::array<Contender, 4> contenders = {map ? mapped : unmapped,
                                         Contender{"official hasher, memory", official, {}},
                                         Contender{"hash tree, memory", tree_over_memory, {}},
                                         Contender{"hash tree, file", tree_over_file, {}}};
  for (std::size_t turn = 0; turn < kTurns; ++turn) {
    for (Contender& contender : contenders) {
      contender.seconds.push_back(time_of(contender, subject, expected));
    }
  }
  const double b3sum_rate = gib_per_second(contenders[0]);
  fmt::print("1 GiB, one thread, median of {} interleaved turns\n", kTurns);
  for (const Contender& contender : contenders) {
    const double rate = gib_per_second(contender);
    fmt::print("{:<24} {:6.2f} GiB/s {:6.2f} x b3sum\n", contender.name, rate, rate / b3sum_rate);
  }
}

}  // namespace
}  // namespace weighbridge

int main() {
  weighbridge::run();
}
