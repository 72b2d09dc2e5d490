#include "store/stock.h"

#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "base/units.h"
#include "formats/seal.h"
#include "hash/hash_tree.h"
#include "store/testing/store_world.h"

namespace weighbridge::store {
namespace {

using base::Code;
using base::kMiB;
using testing::Bytes;
using testing::bytes_of;
using testing::fetch;
using testing::sealed;

constexpr std::int64_t kSecond = 1'000'000'000;

class StockTest : public ::testing::Test {
 protected:
  // A Ref of one snapshot with these files, all in the store, used at `used_s`; no lease is kept.
  StoredRef pull(const std::string& name, std::vector<std::uint64_t> seeds, std::int64_t used_s) {
    std::vector<model::File> files;
    for (const std::uint64_t seed : seeds) {
      const Bytes bytes = bytes_of(seed, kMiB);
      files.push_back(sealed("file" + std::to_string(seed), bytes));
      const auto blob = fetch(world_.call, *store_.blobs, files.back(), bytes);
      EXPECT_TRUE(blob.ok());
      EXPECT_TRUE(blob->file().set_used(used_s * kSecond).ok());
    }
    EXPECT_TRUE(store_.snapshots->make(world_.call, files).ok());
    return put(name, model::content_id(files), std::nullopt);
  }

  StoredRef put(const std::string& name,
                std::optional<hash::Root> content_id,
                std::optional<hash::Sha256Digest> seal) {
    const auto ref = model::Ref::parse("https://host/" + name + "/").value();
    RefRecord record;
    record.ref = ref.printable();
    record.content_id = content_id;
    record.seal_sha256 = seal;
    EXPECT_TRUE(store_.refs->put(ref, record).ok());
    return {ref_file_name(ref), record, std::nullopt};
  }

  Stock stock() { return take_stock(*store_.home, *store_.space, *store_.refs).value(); }

  base::Result<Evicted> remove(const StoredRef& ref) {
    return remove_ref(
        world_.call, *store_.home, *store_.space, *store_.snapshots, *store_.refs, ref);
  }

  bool has(std::uint64_t seed) {
    return store_.blobs->open(world_.call, *sealed("f", bytes_of(seed, kMiB)).root).ok();
  }

  // With every access time as it is.
  std::int64_t used_ns(std::uint64_t seed) {
    return world_.real->info(store_.home->blob(*sealed("f", bytes_of(seed, kMiB)).root))->atime_ns;
  }

  testing::World world_;
  testing::Opened store_ = world_.open();
};

TEST_F(StockTest, EachRefHasItsOwnBytesAndThoseItShares) {
  pull("a", {1, 2}, 100);
  pull("b", {2, 3, 4}, 200);
  const Stock found = stock();
  ASSERT_EQ(found.refs.size(), 2U);
  EXPECT_EQ(found.blobs, 4U);
  EXPECT_EQ(found.refs[0].bytes, 2 * kMiB);
  EXPECT_GE(found.refs[0].own_bytes, kMiB);
  EXPECT_LT(found.refs[0].own_bytes, 2 * kMiB);
  EXPECT_EQ(found.refs[0].shared_bytes, found.refs[1].shared_bytes);
  EXPECT_GE(found.refs[1].own_bytes, 2 * kMiB);
  EXPECT_TRUE(found.refs[0].is_whole());
  EXPECT_EQ(found.unnamed_bytes, 0U);
  EXPECT_EQ(found.refs[1].used_ns, used_ns(4));
}

TEST_F(StockTest, ARefThatLostABlobIsNotWholeAndItsSealStillSaysWhatItWas) {
  const Bytes bytes = bytes_of(1, kMiB);
  formats::Seal seal;
  formats::SealedFile file;
  file.path = "f";
  file.size = kMiB;
  file.root = *sealed("f", bytes).root;
  seal.files.push_back(file);
  const auto text = formats::write_seal(seal).value();
  const auto digest = store_.refs->put_seal(text).value();
  put("a", std::nullopt, digest);
  put("b", std::nullopt, std::nullopt);
  const Stock found = stock();
  ASSERT_EQ(found.refs.size(), 2U);
  ASSERT_TRUE(found.refs[0].files.has_value());
  EXPECT_EQ(found.refs[0].missing, 1U);
  EXPECT_FALSE(found.refs[0].is_whole());
  EXPECT_FALSE(found.refs[1].files.has_value());
}

TEST_F(StockTest, APinHoldsByTheSealWhereTheListOfItsSnapshotIsGone) {
  formats::Seal seal;
  formats::SealedFile file;
  file.path = "f";
  file.size = kMiB;
  file.root = *sealed("f", bytes_of(1, kMiB)).root;
  seal.files.push_back(file);
  const auto digest = store_.refs->put_seal(formats::write_seal(seal).value()).value();
  put("a", file.root, digest);
  ASSERT_TRUE(store_.refs->pin(model::Ref::parse("https://host/a/").value(), file.root).ok());
  EXPECT_EQ(pinned_blobs(*store_.home, *store_.refs).value(), std::set{file.root});
}

TEST_F(StockTest, RemovingARefTakesWhatNothingElseNames) {
  const StoredRef a = pull("a", {1, 2}, 100);
  pull("b", {2, 3}, 100);
  const Evicted gone = remove(a).value();
  EXPECT_EQ(gone.blobs.size(), 1U);
  EXPECT_GE(gone.freed_bytes, kMiB);
  EXPECT_FALSE(has(1));
  EXPECT_TRUE(has(2));
  EXPECT_EQ(stock().refs.size(), 1U);
  EXPECT_TRUE(stock().refs[0].is_whole());
  EXPECT_FALSE(world_.real->info(store_.snapshots->directory(*a.record.content_id)).ok());
}

TEST_F(StockTest, TwoRefsOfOneSnapshotKeepItUntilTheLastIsGone) {
  const StoredRef a = pull("a", {1}, 100);
  const StoredRef b = put("b", a.record.content_id, std::nullopt);
  EXPECT_EQ(remove(a)->blobs.size(), 0U);
  EXPECT_TRUE(store_.snapshots->find(*b.record.content_id).value().has_value());
  EXPECT_EQ(remove(b)->blobs.size(), 1U);
}

TEST_F(StockTest, ALeasedOrPinnedRefIsNotRemovedAndNothingOfItIsGone) {
  StoredRef a = pull("a", {1, 2}, 100);
  {
    const auto lease =
        store_.blobs->open(world_.call, *sealed("f", bytes_of(2, kMiB)).root).value();
    const auto refused = remove(a);
    EXPECT_EQ(refused.error().code(), Code::kBusy);
    EXPECT_EQ(refused.error().file(), store_.home->blob(lease.root()));
  }
  ASSERT_TRUE(store_.refs->pin(a, *a.record.content_id).ok());
  a = stock().refs[0].ref;
  EXPECT_TRUE(a.pinned.has_value());
  EXPECT_EQ(remove(a).error().code(), Code::kBusy);
  EXPECT_TRUE(stock().refs[0].is_whole());
  ASSERT_TRUE(store_.refs->unpin(a).ok());
  EXPECT_TRUE(remove(stock().refs[0].ref).ok());
}

TEST_F(StockTest, GcOfTheUnnamedPassesByWhatARefNamesAndWhatIsFresh) {
  pull("a", {1}, 100);
  const StoredRef old = pull("b", {2}, 100);
  const StoredRef fresh = pull("c", {3}, 100);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  ASSERT_TRUE(store_.blobs->open(world_.call, *sealed("f", bytes_of(3, kMiB)).root)
                  ->file()
                  .set_used(std::chrono::nanoseconds(now).count())
                  .ok());
  ASSERT_TRUE(store_.refs->remove(old).ok());
  ASSERT_TRUE(store_.refs->remove(fresh).ok());
  const base::Call call(base::system_clock());
  const GcOptions options{.dry_run = false, .wanted_bytes = std::nullopt, .unnamed_only = true};
  const Evicted gone = store_.space->gc(call, options).value();
  EXPECT_EQ(gone.blobs.size(), 1U);
  EXPECT_TRUE(has(1));
  EXPECT_FALSE(has(2));
  EXPECT_TRUE(has(3));
}

}  // namespace
}  // namespace weighbridge::store
