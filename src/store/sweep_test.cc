// Every call of the file system that writing a model makes is failed in turn, in every kind; then
// the store is opened again. What was acknowledged must be there, nothing false may be, and the
// pull must go through with little fetched again. Every call with WB_FULL_SWEEP=1, else some.
#include <array>
#include <cstdlib>
#include <iostream>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "base/units.h"
#include "hash/hash_tree.h"
#include "store/files.h"
#include "store/testing/store_world.h"

namespace weighbridge::store {
namespace {

using base::Code;
using base::kMiB;
using base::Result;
using testing::Bytes;
using weighbridge::testing::FaultyFileSystem;
using Fault = FaultyFileSystem::Fault;
using Names = FaultyFileSystem::Names;

// So small that the model has checkpoints.
constexpr std::uint64_t kCheckpointEvery = kMiB;
constexpr std::uint64_t kSliceStep = 7;

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

struct ModelFile {
  model::File file;
  Bytes bytes;
  hash::Root root;
};

const std::vector<ModelFile>& model_files() {
  static const std::vector<ModelFile> files = [] {
    std::vector<ModelFile> made;
    const Bytes large = testing::bytes_of(1, 3 * kMiB + 77);
    const Bytes small = testing::bytes_of(2, 500);
    const Bytes other = testing::bytes_of(3, kMiB + 4096);
    made.push_back({testing::sealed("a.safetensors", large), large, hash::hash_bytes(large)});
    made.push_back({testing::sealed("config.json", small), small, hash::hash_bytes(small)});
    made.push_back({testing::with_sha256("sub/b.bin", other), other, hash::hash_bytes(other)});
    return made;
  }();
  return files;
}

// What a pull had promised before it failed, and what it cost.
struct Pulled {
  std::set<hash::Root> acknowledged;
  bool snapshot = false;
  bool pinned = false;
  std::uint64_t written = 0;
};

std::vector<model::File> named_files() {
  std::vector<model::File> files;
  for (const ModelFile& one : model_files()) {
    files.push_back(one.file);
    files.back().root = one.root;
  }
  return files;
}

Result<void> pull(const base::Call& call,
                  io::FileSystem& disk,
                  const std::string& home,
                  Pulled& pulled) {
  const auto store = TRY(testing::open_store(disk, home, {}, kCheckpointEvery));
  const auto ref = model::Ref::parse("https://host/model/").value();
  TRY(store.refs->put_seal(testing::bytes_of(4, 300)));
  std::vector<BlobFile> leases;
  for (const ModelFile& one : model_files()) {
    leases.push_back(TRY(testing::fetch(call, *store.blobs, one.file, one.bytes, &pulled.written)));
    pulled.acknowledged.insert(one.root);
  }
  const auto files = named_files();
  TRY(store.snapshots->make(call, files));
  pulled.snapshot = true;
  RefRecord record;
  record.ref = ref.printable();
  record.content_id = model::content_id(files);
  TRY(store.refs->put(ref, record));
  TRY(store.refs->pin(ref, *record.content_id));
  pulled.pinned = true;
  return {};
}

// One scratch home for each point, as nothing of it may survive.
class Point {
 public:
  Point(const Kind& kind, std::uint64_t nth) : kind_(kind), nth_(nth) {}

  // False if the pull ended before its nth call.
  bool run() {
    disk_.fail_call(nth_, kind_.fault);
    const auto result = pull(call_, disk_, home_, pulled_);
    const bool hit = disk_.calls() >= nth_;
    if (kind_.power_loss && hit) {
      disk_.lose_power(kind_.names);
    }
    disk_.restart();
    if (kind_.fault == Fault::kExhausted && !result.ok()) {
      EXPECT_EQ(result.error().code(), Code::kExhausted) << where();
    }
    check_acknowledged();
    check_nothing_false();
    finish();
    check_acknowledged();
    check_nothing_false();
    return hit;
  }

  std::uint64_t fetched_again() const { return fetched_again_; }

 private:
  std::string where() const { return std::string(kind_.name) + " at call " + std::to_string(nth_); }

  void check_acknowledged() {
    const auto store = testing::open_store(disk_, home_, {}, kCheckpointEvery);
    ASSERT_TRUE(store.ok()) << where() << ": " << store.error().message();
    for (const ModelFile& one : model_files()) {
      if (pulled_.acknowledged.contains(one.root)) {
        const auto blob = store->blobs->open(call_, one.root);
        ASSERT_TRUE(blob.ok()) << where() << ": " << blob.error().message();
        EXPECT_EQ(testing::contents_of(*blob), one.bytes) << where();
      }
    }
    const auto content_id = model::content_id(named_files());
    if (pulled_.snapshot) {
      EXPECT_TRUE(store->snapshots->find(*content_id)->has_value()) << where();
    }
    if (pulled_.pinned) {
      EXPECT_EQ(pinned_snapshots(*store->home)->size(), 1U) << where();
    }
  }

  // Whatever has the name of a blob has its bytes; whatever snapshot is found is whole.
  void check_nothing_false() {
    const auto check = [&](const std::string& path, const io::FileInfo&) -> Result<void> {
      const auto bytes = TRY(io::read_file(*real_, path, 100 * kMiB));
      EXPECT_EQ(hash::hash_bytes(bytes).hex(), path.substr(path.rfind('/') + 1)) << where();
      return {};
    };
    EXPECT_TRUE(each_file(*real_, home_ + "/blobs", check).ok());
    const auto store = testing::open_store(disk_, home_, {}, kCheckpointEvery).value();
    for (const hash::Root& id : store.snapshots->all().value()) {
      const auto files = store.snapshots->find(id).value();
      for (const SnapshotFile& file : files.value_or(std::vector<SnapshotFile>())) {
        const auto bytes =
            io::read_file(*real_, store.snapshots->directory(id) + "/" + file.path, 100 * kMiB);
        EXPECT_TRUE(bytes.ok() && hash::hash_bytes(*bytes) == file.root) << where();
      }
    }
  }

  void finish() {
    std::uint64_t total = 0;
    for (const ModelFile& one : model_files()) {
      total += hash::piece_count(one.bytes.size());
    }
    Pulled again;
    const auto result = pull(call_, disk_, home_, again);
    ASSERT_TRUE(result.ok()) << where() << ": " << result.error().message();
    const std::uint64_t all = pulled_.written + again.written;
    fetched_again_ = all > total ? all - total : 0;
    pulled_ = again;
    // Half a piece, and one that has no journal; with the power goes what no checkpoint covers.
    const std::uint64_t most = kind_.power_loss ? 2 * kCheckpointEvery / kMiB : 1;
    const bool is_kill = kind_.power_loss || kind_.fault == Fault::kKilled;
    if (is_kill) {
      EXPECT_LE(fetched_again_, most) << where();
    }
  }

  const Kind& kind_;
  const std::uint64_t nth_;
  const weighbridge::testing::ScratchDirectory scratch_;
  const std::unique_ptr<io::FileSystem> real_ = io::real_file_system();
  FaultyFileSystem disk_{*real_};
  const weighbridge::testing::ManualClock clock_{
      weighbridge::testing::ManualClock::Waits::kJumpToTheirEnd};
  const base::Call call_{clock_};
  const std::string home_ = scratch_ / "home";
  Pulled pulled_;
  std::uint64_t fetched_again_ = 0;
};

class SweepTest : public ::testing::TestWithParam<Kind> {};

TEST_P(SweepTest, NoCallThatFailsLosesOrFalsifiesABlob) {
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
  std::cout << "sweep: " << GetParam().name << ": " << points << " points, at most " << most_again
            << " MiB fetched again\n";
}

INSTANTIATE_TEST_SUITE_P(Kinds, SweepTest, ::testing::ValuesIn(kKinds));

}  // namespace
}  // namespace weighbridge::store
