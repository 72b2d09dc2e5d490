// Every call of the file system that pulling a model makes is failed in turn, in every kind; then
// the store is opened again. What was acknowledged must be there, nothing false may be, and the
// pull must go through with little fetched again. Every call with WB_FULL_SWEEP=1, else some.
#include <array>
#include <cstdlib>
#include <iostream>
#include <optional>

#include <gtest/gtest.h>

#include "base/units.h"
#include "hash/hash_tree.h"
#include "store/files.h"
#include "transfer/testing/pull_world.h"

namespace weighbridge::transfer {
namespace {

using base::kMiB;
using base::Result;
using sources::testing::random_bytes;
using testing::Bytes;
using testing::PullWorld;
using weighbridge::testing::FaultyFileSystem;
using Fault = FaultyFileSystem::Fault;
using Names = FaultyFileSystem::Names;

constexpr std::uint64_t kSliceStep = 11;
// What a connection that is killed may have fetched for nothing.
constexpr std::uint64_t kMostAgainBytes = 8 * kMiB;

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

// Its seal is made once.
const PullWorld& model() {
  static const std::unique_ptr<PullWorld> world = [] {
    auto made = std::make_unique<PullWorld>();
    made->origin.files["a.safetensors"] = random_bytes(9 * kMiB + 77, 1);
    made->origin.files["config.json"] = random_bytes(500, 2);
    made->origin.files["sub/b.bin"] = random_bytes(kMiB + 4096, 3);
    made->seal();
    return made;
  }();
  return *world;
}

std::uint64_t model_bytes() {
  std::uint64_t bytes = 0;
  for (const auto& [path, file] : model().origin.files) {
    bytes += file.size();
  }
  return bytes;
}

// A home of its own, as nothing of it may survive.
class Point {
 public:
  Point(const Kind& kind, std::uint64_t nth) : kind_(kind), nth_(nth) {
    world_.origin.files = model().origin.files;
    world_.origin.seal_bytes = model().origin.seal_bytes;
    world_.origin.can_list = false;
    world_.origin.connections = 1;  // so that the nth call is always the same
  }

  // False if the pull ended before its nth call.
  bool run() {
    world_.disk.fail_call(nth_, kind_.fault);
    const auto first = world_.pull();
    const bool hit = world_.disk.calls() >= nth_;
    if (kind_.power_loss && hit) {
      world_.disk.lose_power(kind_.names);
    }
    world_.disk.restart();
    if (first.ok()) {
      EXPECT_TRUE(world_.is_whole(*first)) << where();
    }
    expect_nothing_false();
    const auto second = world_.pull();
    EXPECT_TRUE(second.ok()) << where() << ": " << second.error().message();
    EXPECT_TRUE(second.ok() && world_.is_whole(*second)) << where();
    expect_nothing_false();
    again_ =
        world_.origin.delivered_bytes() - std::min(world_.origin.delivered_bytes(), model_bytes());
    // A sync that failed may have lost what was written before it: that file begins anew.
    if (kind_.fault == Fault::kKilled) {
      EXPECT_LE(again_, kMostAgainBytes) << where();
    }
    return hit;
  }

  std::uint64_t fetched_again() const { return again_; }

 private:
  std::string where() const { return std::string(kind_.name) + " at call " + std::to_string(nth_); }

  // Whatever has the name of a blob has its bytes; whatever snapshot is listed is whole.
  void expect_nothing_false() {
    const auto check = [&](const std::string& path, const io::FileInfo&) -> Result<void> {
      EXPECT_EQ(hash::hash_bytes(world_.read(path)).hex(), path.substr(path.rfind('/') + 1))
          << where();
      return {};
    };
    EXPECT_TRUE(store::each_file(*world_.real, world_.home + "/blobs", check).ok());
    const auto store = store::Store::open(*world_.real, world_.home);
    ASSERT_TRUE(store.ok()) << where();
    for (const hash::Root& id : (*store)->snapshots().all().value()) {
      const auto files = (*store)->snapshots().find(id).value();
      for (const auto& file : files.value_or(std::vector<store::SnapshotFile>())) {
        const Bytes bytes = world_.read((*store)->snapshots().directory(id) + "/" + file.path);
        EXPECT_EQ(hash::hash_bytes(bytes), file.root) << where();
      }
    }
  }

  const Kind& kind_;
  const std::uint64_t nth_;
  PullWorld world_;
  std::uint64_t again_ = 0;
};

class PullSweepTest : public ::testing::TestWithParam<Kind> {};

TEST_P(PullSweepTest, NoCallThatFailsLosesOrFalsifiesAModel) {
  const bool full = std::getenv("WB_FULL_SWEEP") != nullptr;  // NOLINT(concurrency-mt-unsafe)
  std::uint64_t points = 0;
  std::uint64_t most_again = 0;
  for (std::uint64_t nth = 1;; nth += full ? 1 : kSliceStep) {
    Point point(GetParam(), nth);
    if (!point.run() || HasFailure()) {
      break;
    }
    ++points;
    most_again = std::max(most_again, point.fetched_again());
  }
  std::cout << "pull sweep: " << GetParam().name << ": " << points << " points, at most "
            << most_again / kMiB << " MiB fetched again\n";
}

INSTANTIATE_TEST_SUITE_P(Kinds, PullSweepTest, ::testing::ValuesIn(kKinds));

}  // namespace
}  // namespace weighbridge::transfer
