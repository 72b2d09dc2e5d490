// Every call of the file system that a pull into a directory makes is failed in turn, in every
// kind, with one connection, into an empty directory and into one that holds an earlier revision.
// A seal that stands there afterwards must be true of all it lists, every file must be that of one
// revision, whole, and the next pull must finish with little fetched again. Every call with
// WB_FULL_SWEEP=1, else some.
#include <array>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <tuple>

#include <gtest/gtest.h>

#include "base/units.h"
#include "formats/seal.h"
#include "hash/hash_tree.h"
#include "hash/sha256.h"
#include "io/beneath.h"
#include "sources/testing/fake_source.h"
#include "testing/faulty_file_system.h"
#include "testing/manual_clock.h"
#include "testing/scratch_directory.h"
#include "transfer/pull_into.h"

namespace weighbridge::transfer {
namespace {

using base::Code;
using base::kMiB;
using base::Result;
using sources::testing::Bytes;
using sources::testing::FakeSource;
using sources::testing::random_bytes;
using weighbridge::testing::FaultyFileSystem;
using Fault = FaultyFileSystem::Fault;
using Names = FaultyFileSystem::Names;

constexpr std::uint64_t kSliceStep = 11;

struct Kind {
  std::string_view name;
  Fault fault;
  bool power_loss = false;
  Names names = Names::kKept;
};

constexpr std::array kKinds = {
    Kind{"fail", Fault::kIo},
    Kind{"no space", Fault::kExhausted},
    Kind{"torn write", Fault::kTornWrite},
    Kind{"kill", Fault::kKilled},
    Kind{"kill and forget unsynced", Fault::kPowerLoss, true, Names::kForgotten},
    Kind{"kill and forget unsynced bytes", Fault::kPowerLoss, true, Names::kKept},
};

// Two revisions: one file stays, one changes, one goes, one comes.
const std::map<std::string, Bytes>& revision(int number) {
  static const std::map<std::string, Bytes> first = {
      {"config.json", random_bytes(500, 1)},
      {"model.safetensors", random_bytes(3 * kMiB + 77, 2)},
      {"old/vocab.txt", random_bytes(300, 3)}};
  static const std::map<std::string, Bytes> second = {
      {"config.json", random_bytes(500, 1)},
      {"model.safetensors", random_bytes(3 * kMiB + 99, 4)},
      {"sub/tokenizer.json", random_bytes(700, 5)}};
  return number == 1 ? first : second;
}

Resolved resolved_to(const std::map<std::string, Bytes>& files) {
  Resolved resolved;
  resolved.seal.emplace();
  for (const auto& [path, bytes] : files) {
    const model::File file = sources::testing::sealed_file(path, bytes, model::Trust::kOrigin);
    resolved.seal->files.push_back(
        {path, file.size, false, hash::Sha256::of(bytes), *file.root, file.pieces, {}});
  }
  resolved.seal_bytes = formats::write_seal(*resolved.seal).value();
  resolved.snapshot = formats::snapshot_of(formats::parse_seal(resolved.seal_bytes).value(),
                                           "fake://",
                                           hash::Sha256::of(resolved.seal_bytes),
                                           model::Trust::kOrigin);
  return resolved;
}

// A directory of its own for each point, as nothing of it may survive.
class Point {
 public:
  Point(const Kind& kind, bool updates, std::uint64_t nth)
      : kind_(kind), updates_(updates), nth_(nth) {
    if (updates) {
      EXPECT_TRUE(pull(1, *below_).ok());
    }
    const auto own = real_->create(scratch_ / "mine.txt").value();
    EXPECT_TRUE(own->write_at(0, mine_).ok());
  }

  // False if the pull ended before its nth call.
  bool run() {
    FaultyFileSystem disk(*below_);
    disk.fail_call(nth_, kind_.fault);
    const auto result = pull(2, disk);
    const bool hit = disk.calls() >= nth_;
    if (kind_.power_loss && hit) {
      disk.lose_power(kind_.names);
    }
    disk.restart();
    if (kind_.fault == Fault::kExhausted && !result.ok()) {
      EXPECT_EQ(result.error().code(), Code::kExhausted) << where();
    }
    check_nothing_false();
    const auto again = pull(2, disk);
    EXPECT_TRUE(again.ok()) << where() << ": " << again.error().message();
    check_nothing_false();
    EXPECT_TRUE(std::filesystem::exists(scratch_ / "weighbridge.seal")) << where();
    EXPECT_FALSE(std::filesystem::exists(scratch_ / "old/vocab.txt")) << where();
    EXPECT_FALSE(std::filesystem::exists(scratch_ / ".weighbridge-partial")) << where();
    return hit;
  }

  std::uint64_t fetched_again() const {
    std::uint64_t all = 0;
    for (const auto& [path, bytes] : revision(2)) {
      all += updates_ && path == "config.json" ? 0 : bytes.size();
    }
    return delivered_ > all ? delivered_ - all : 0;
  }

 private:
  std::string where() const {
    return std::string(kind_.name) + (updates_ ? ", updating" : "") + " at call " +
           std::to_string(nth_);
  }

  Result<PulledInto> pull(int number, io::FileSystem& directory) {
    FakeSource source;
    source.connections = 1;
    source.files = {revision(number).begin(), revision(number).end()};
    FirstSeen first_seen;
    Transfer transfer(first_seen, 1);
    PullProgress progress;
    auto pulled = pull_into(
        call_, {source, transfer, directory, nullptr}, resolved_to(revision(number)), {}, progress);
    delivered_ += number == 2 ? source.delivered_bytes() : 0;
    return pulled;
  }

  Result<Bytes> read(const std::string& name) const {
    return io::read_file(*real_, scratch_ / name, 100 * kMiB);
  }

  void check_nothing_false() const {
    const auto own = read("mine.txt");
    EXPECT_TRUE(own.ok() && *own == mine_) << where();
    for (const int number : {1, 2}) {
      for (const auto& [path, bytes] : revision(number)) {
        const auto found = read(path);
        const auto other = revision(3 - number).find(path);
        const bool is_other =
            found.ok() && other != revision(3 - number).end() && *found == other->second;
        EXPECT_TRUE(!found.ok() || *found == bytes || is_other) << where() << ": " << path;
      }
    }
    const auto seal_bytes = read("weighbridge.seal");
    if (!seal_bytes.ok()) {
      return;
    }
    const auto seal = formats::parse_seal(*seal_bytes);
    ASSERT_TRUE(seal.ok()) << where() << ": " << seal.error().message();
    for (const formats::SealedFile& file : seal->files) {
      const auto found = read(file.path);
      EXPECT_TRUE(found.ok() && hash::hash_bytes(*found) == file.root)
          << where() << ": " << file.path;
    }
  }

  const Kind& kind_;
  const bool updates_;
  const std::uint64_t nth_;
  const Bytes mine_ = random_bytes(40, 9);
  const weighbridge::testing::ScratchDirectory scratch_;
  const std::unique_ptr<io::FileSystem> real_ = io::real_file_system();
  const std::unique_ptr<io::FileSystem> below_ = io::open_beneath(scratch_.path()).value();
  const weighbridge::testing::ManualClock clock_{
      weighbridge::testing::ManualClock::Waits::kJumpToTheirEnd};
  const base::Call call_{clock_};
  std::uint64_t delivered_ = 0;
};

class PullIntoSweepTest : public ::testing::TestWithParam<std::tuple<Kind, bool>> {};

TEST_P(PullIntoSweepTest, NoCallThatFailsLeavesWhatLooksWholeAndIsNot) {
  const bool full = std::getenv("WB_FULL_SWEEP") != nullptr;  // NOLINT(concurrency-mt-unsafe)
  const auto& [kind, updates] = GetParam();
  std::uint64_t points = 0;
  std::uint64_t most_again = 0;
  for (std::uint64_t nth = 1;; nth += full ? 1 : kSliceStep) {
    Point point(kind, updates, nth);
    if (!point.run() || HasFailure()) {
      break;
    }
    ++points;
    most_again = std::max(most_again, point.fetched_again());
  }
  const bool is_kill = kind.fault == Fault::kKilled;
  // What was under way: one request of one connection.
  EXPECT_LE(most_again, is_kill ? 4 * kMiB + kMiB : 8 * kMiB);
  std::cout << "sweep into a directory" << (updates ? ", updating" : "") << ": " << kind.name
            << ": " << points << " points, at most " << most_again << " bytes fetched again\n";
}

INSTANTIATE_TEST_SUITE_P(Kinds,
                         PullIntoSweepTest,
                         ::testing::Combine(::testing::ValuesIn(kKinds), ::testing::Bool()));

}  // namespace
}  // namespace weighbridge::transfer
