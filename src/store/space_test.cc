#include "store/space.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/units.h"
#include "hash/hash_tree.h"
#include "store/scrub.h"
#include "store/testing/store_world.h"

namespace weighbridge::store {
namespace {

using base::Code;
using base::kMiB;
using testing::Bytes;
using testing::bytes_of;
using testing::fetch;
using testing::sealed;

class SpaceTest : public ::testing::Test {
 protected:
  // A blob of 1 MiB, used `used_s` seconds after the epoch; no lease is kept.
  hash::Root add(std::uint64_t seed, std::int64_t used_s) {
    const Bytes bytes = bytes_of(seed, kMiB);
    const auto blob = fetch(world_.call, *store_.blobs, sealed("f", bytes), bytes);
    EXPECT_TRUE(blob.ok());
    EXPECT_TRUE(blob->file().set_used(used_s * 1'000'000'000).ok());
    return blob->root();
  }

  bool has(const hash::Root& root) { return world_.real->info(store_.home->blob(root)).ok(); }

  // A snapshot of that one blob.
  hash::Root make_snapshot(const hash::Root& root) {
    model::File file;
    file.path = "dir/weights";
    file.size = kMiB;
    file.root = root;
    const std::vector files = {file};
    EXPECT_TRUE(store_.snapshots->make(world_.call, files).ok());
    return *model::content_id(files);
  }

  testing::World world_;
  testing::Opened store_ = world_.open();
};

TEST_F(SpaceTest, TheLeastRecentlyUsedGoesFirst) {
  const auto young = add(1, 300);
  const auto old = add(2, 100);
  const auto middle = add(3, 200);
  const Evicted evicted =
      store_.space->gc(world_.call, {.dry_run = false, .wanted_bytes = kMiB + 1}).value();
  ASSERT_EQ(evicted.blobs.size(), 2U);
  EXPECT_EQ(evicted.blobs[0].root, old);
  EXPECT_EQ(evicted.blobs[1].root, middle);
  EXPECT_FALSE(has(old));
  EXPECT_FALSE(has(middle));
  EXPECT_TRUE(has(young));
}

TEST_F(SpaceTest, WhatIsLeasedOrPinnedStays) {
  const auto leased = add(1, 100);
  const auto pinned = add(2, 100);
  const auto neither = add(3, 300);
  const BlobFile lease = store_.blobs->open(world_.call, leased).value();
  const auto ref = model::Ref::parse("https://host/model/").value();
  ASSERT_TRUE(store_.refs->pin(ref, make_snapshot(pinned)).ok());
  const Evicted evicted = store_.space->gc(world_.call, {}).value();
  EXPECT_EQ(evicted.blobs.size(), 1U);
  EXPECT_EQ(evicted.passed_by, 2U);
  EXPECT_TRUE(has(leased));
  EXPECT_TRUE(has(pinned));
  EXPECT_FALSE(has(neither));
  EXPECT_EQ(store_.space->remove(world_.call, {leased}).error().code(), Code::kBusy);
}

TEST_F(SpaceTest, AllNamesInsideHomeGoWithABlob) {
  const auto root = add(1, 100);
  const auto content_id = make_snapshot(root);
  const std::string linked = store_.snapshots->directory(content_id) + "/dir/weights";
  ASSERT_EQ(world_.real->info(linked)->links, 2U);
  const Evicted evicted = store_.space->gc(world_.call, {}).value();
  EXPECT_EQ(evicted.blobs.front().foreign_links, 0U);
  EXPECT_GE(evicted.freed_bytes, kMiB);
  EXPECT_FALSE(world_.real->info(linked).ok());
  EXPECT_EQ(store_.snapshots->find(content_id).value(), std::nullopt);
  EXPECT_FALSE(world_.real->info(store_.snapshots->directory(content_id)).ok());
}

TEST_F(SpaceTest, ADryRunSaysWhatReallyComesFreeAndTouchesNothing) {
  const auto root = add(1, 100);
  const auto other = add(2, 200);
  std::filesystem::create_hard_link(store_.home->blob(root), world_.scratch / "foreign");
  const Evicted evicted =
      store_.space->gc(world_.call, {.dry_run = true, .wanted_bytes = std::nullopt}).value();
  ASSERT_EQ(evicted.blobs.size(), 2U);
  EXPECT_EQ(evicted.blobs[0].foreign_links, 1U);
  EXPECT_EQ(evicted.freed_bytes, evicted.blobs[1].bytes);
  EXPECT_TRUE(has(root));
  EXPECT_TRUE(has(other));
}

TEST_F(SpaceTest, ANewcomerMakesRoomWithinTheQuota) {
  store_ = world_.open({.quota_bytes = 3 * kMiB, .floor_bytes = 0});
  const auto old = add(1, 100);
  const auto young = add(2, 200);
  const auto newcomer = add(3, 300);
  EXPECT_FALSE(has(old));
  EXPECT_TRUE(has(young));
  EXPECT_TRUE(has(newcomer));
}

TEST_F(SpaceTest, ANewcomerThatCannotFitFailsAndWhatIsThereStays) {
  store_ = world_.open({.quota_bytes = 3 * kMiB, .floor_bytes = 0});
  const auto old = add(1, 100);
  const Bytes large = bytes_of(2, 4 * kMiB);
  const auto result = fetch(world_.call, *store_.blobs, sealed("f", large), large);
  EXPECT_EQ(result.error().code(), Code::kExhausted);
  EXPECT_FALSE(result.error().hint().empty());
  EXPECT_TRUE(has(old));
  EXPECT_TRUE(world_.real->list(world_.home + "/partial")->empty());
}

TEST_F(SpaceTest, WhatIsTakenIsCountedOnceAndThenRemembered) {
  store_ = world_.open({.quota_bytes = 100 * kMiB, .floor_bytes = 0});
  for (std::uint64_t i = 0; i < 20; ++i) {
    add(i, 100);
  }
  const auto calls_of_one = [&] {
    const std::uint64_t before = world_.disk.calls();
    EXPECT_TRUE(store_.space->admit(world_.call, 1, [] { return base::Result<void>(); }).ok());
    return world_.disk.calls() - before;
  };
  calls_of_one();
  const std::uint64_t remembered = calls_of_one();
  EXPECT_LT(remembered, 20U);
  std::filesystem::remove(world_.home + "/used");
  EXPECT_GE(calls_of_one(), remembered + 20);
  EXPECT_EQ(calls_of_one(), remembered);
}

TEST_F(SpaceTest, WhatIsRememberedIsNeverLessThanWhatIsTaken) {
  const SpaceLimits tight{.quota_bytes = 3 * kMiB, .floor_bytes = 0};
  store_ = world_.open(tight);
  const auto first = add(1, 100);
  // Who has no quota does not count: nothing is remembered from then on.
  store_ = world_.open();
  const auto second = add(2, 200);
  EXPECT_FALSE(world_.real->info(world_.home + "/used").ok());
  store_ = world_.open(tight);
  const auto third = add(3, 300);
  EXPECT_FALSE(has(first));
  EXPECT_TRUE(has(second));
  EXPECT_TRUE(has(third));
  // Of another boot, or damaged: it counts again.
  std::filesystem::resize_file(world_.home + "/used", 30);
  const auto fourth = add(4, 400);
  EXPECT_FALSE(has(second));
  EXPECT_TRUE(has(fourth));
}

TEST_F(SpaceTest, TheFloorIsLeftToOthers) {
  const std::uint64_t free = world_.real->volume(world_.scratch.path())->free_bytes;
  store_ = world_.open({.quota_bytes = std::nullopt, .floor_bytes = free * 2});
  const Bytes bytes = bytes_of(1, 10);
  EXPECT_EQ(fetch(world_.call, *store_.blobs, sealed("f", bytes), bytes).error().code(),
            Code::kExhausted);
}

TEST_F(SpaceTest, GcTakesAwayWhatKillsLeftBehindAndNobodyGoesOnWith) {
  const Bytes bytes = bytes_of(1, 2 * kMiB);
  const model::File file = sealed("f", bytes);
  { const auto begun = store_.blobs->begin(world_.call, {.file = file, .identity = ""}); }
  const std::string data = world_.home + "/partial/" + file.root->hex() + ".data";
  ASSERT_TRUE(world_.real->info(data).ok());
  // The manual clock stands long before the file was really written.
  EXPECT_EQ(store_.space->gc(world_.call, {})->leftovers, 0U);
  using std::chrono::hours;
  std::filesystem::last_write_time(
      data, std::filesystem::file_time_type::clock::now() - hours(24 * 365 * 3));
  EXPECT_EQ(store_.space->gc(world_.call, {})->leftovers, 1U);
  EXPECT_TRUE(world_.real->list(world_.home + "/partial")->empty());
}

TEST_F(SpaceTest, GcTakesAwayStaleTemporaryFilesAndSealsOfNothing) {
  const base::Call now(base::system_clock());
  const std::string text = "seal";
  const auto named = store_.refs->put_seal(std::as_bytes(std::span(text))).value();
  const std::string other = "seal of nothing";
  const auto unnamed = store_.refs->put_seal(std::as_bytes(std::span(other))).value();
  const auto ref = model::Ref::parse("https://host/model/").value();
  RefRecord record;
  record.ref = ref.printable();
  record.seal_sha256 = named;
  ASSERT_TRUE(store_.refs->put(ref, record).ok());
  const std::string stale = world_.home + "/refs/.weighbridge-tmp-x-1-1";
  const std::string fresh = world_.home + "/refs/.weighbridge-tmp-x-1-2";
  for (const std::string& path : {stale, fresh}) {
    ASSERT_TRUE(world_.real->create(path).ok());
  }
  EXPECT_EQ(store_.space->gc(now, {})->leftovers, 0U);
  const auto long_ago = std::filesystem::file_time_type::clock::now() - std::chrono::hours(2);
  for (const std::string& path :
       {stale, world_.home + "/seals/" + named.hex(), world_.home + "/seals/" + unnamed.hex()}) {
    std::filesystem::last_write_time(path, long_ago);
  }
  EXPECT_EQ(store_.space->gc(now, {})->leftovers, 2U);
  EXPECT_TRUE(store_.refs->seal(named).ok());
  EXPECT_FALSE(store_.refs->seal(unnamed).ok());
  EXPECT_FALSE(world_.real->info(stale).ok());
  EXPECT_TRUE(world_.real->info(fresh).ok());
}

TEST_F(SpaceTest, RemovingTakesBlobsAwayAndPassesOverThoseThatAreGone) {
  const auto root = add(1, 100);
  EXPECT_GE(store_.space->remove(world_.call, {root})->freed_bytes, kMiB);
  EXPECT_FALSE(has(root));
  EXPECT_EQ(store_.space->remove(world_.call, {root})->blobs.size(), 0U);
}

TEST_F(SpaceTest, ScrubQuarantinesWhatRottedAndLeavesTheRest) {
  const auto good = add(1, 100);
  const auto bad = add(2, 200);
  const auto content_id = make_snapshot(bad);
  const std::string dirt = "x";
  ASSERT_TRUE(world_.real->open_to_write(store_.home->blob(bad), io::Caching::kKeep)
                  .value()
                  ->write_at(5000, std::as_bytes(std::span(dirt)))
                  .ok());
  const Scrubbed scrubbed =
      scrub(world_.call, *store_.home, *store_.space, *store_.blobs, {}).value();
  EXPECT_EQ(scrubbed.rotten, std::vector{bad});
  EXPECT_EQ(scrubbed.blobs, 1U);
  EXPECT_TRUE(has(good));
  EXPECT_FALSE(has(bad));
  EXPECT_TRUE(world_.real->info(store_.home->in("quarantine", bad.hex())).ok());
  EXPECT_EQ(store_.snapshots->find(content_id).value(), std::nullopt);
  EXPECT_EQ(store_.space->all().value(), std::vector{good});
}

TEST_F(SpaceTest, ScrubKeepsToItsRate) {
  add(1, 100);
  add(2, 200);
  const auto before = world_.clock.elapsed();
  ASSERT_TRUE(
      scrub(world_.call, *store_.home, *store_.space, *store_.blobs, {.bytes_per_second = kMiB / 2})
          .ok());
  EXPECT_EQ(world_.clock.elapsed() - before, std::chrono::seconds(4));
}

}  // namespace
}  // namespace weighbridge::store
