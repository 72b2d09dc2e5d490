#include "store/refs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hash/hash_tree.h"
#include "store/testing/store_world.h"

namespace weighbridge::store {
namespace {

using base::Code;
using testing::bytes_of;

RefRecord record() {
  RefRecord record;
  record.ref = "https://host/model/";
  record.content_id = hash::hash_bytes(bytes_of(1, 1));
  record.seal_sha256 = hash::Sha256Digest{hash::hash_bytes(bytes_of(2, 1)).bytes};
  record.trust = model::Trust::kOrigin;
  record.resolved_s = 1'767'225'600;
  record.files = {{"a b", 12, {"W/\"x\"", ""}}, {"c/\xC3\xA4", 0, {"-", "Thu, 01 Jan 2026"}}};
  return record;
}

class RefsTest : public ::testing::Test {
 protected:
  testing::World world_;
  testing::Opened store_ = world_.open();
  const model::Ref ref_ = model::Ref::parse("https://host/model/").value();
};

TEST_F(RefsTest, WhatARefResolvedToIsRememberedOverPowerLoss) {
  ASSERT_TRUE(store_.refs->put(ref_, record()).ok());
  world_.disk.lose_power(weighbridge::testing::FaultyFileSystem::Names::kForgotten);
  store_ = world_.open();
  EXPECT_EQ(store_.refs->find(ref_).value(), record());
  const auto all = store_.refs->all().value();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].record, record());
  EXPECT_FALSE(all[0].pinned.has_value());
  ASSERT_TRUE(store_.refs->remove(ref_).ok());
  EXPECT_EQ(store_.refs->find(ref_).value(), std::nullopt);
}

TEST_F(RefsTest, ARefThatNeverResolvedHasNoRecord) {
  EXPECT_EQ(store_.refs->find(ref_).value(), std::nullopt);
  EXPECT_TRUE(store_.refs->all()->empty());
  EXPECT_TRUE(store_.refs->remove(ref_).ok());
}

TEST_F(RefsTest, ADamagedRecordCountsAsAbsent) {
  ASSERT_TRUE(store_.refs->put(ref_, record()).ok());
  const std::string path = store_.home->in("refs", ref_file_name(ref_));
  const std::string dirt = "x";
  ASSERT_TRUE(world_.real->open_to_write(path, io::Caching::kKeep)
                  .value()
                  ->write_at(30, std::as_bytes(std::span(dirt)))
                  .ok());
  EXPECT_EQ(store_.refs->find(ref_).value(), std::nullopt);
}

TEST_F(RefsTest, NoByteOfARecordCanBeAnother) {
  const auto good = write_ref(record()).value();
  EXPECT_EQ(parse_ref(good).value(), record());
  for (std::size_t at = 0; at < good.size(); ++at) {
    auto bad = good;
    bad[at] ^= std::byte{1};
    EXPECT_EQ(parse_ref(bad).error().code(), Code::kCorrupt) << at;
    bad.resize(at);
    EXPECT_EQ(parse_ref(bad).error().code(), Code::kCorrupt) << at;
  }
}

TEST_F(RefsTest, PathsThatMayNotStandInASnapshotAreNotWritten) {
  RefRecord bad = record();
  bad.files[0].path = "../a";
  EXPECT_EQ(write_ref(bad).error().code(), Code::kInvalid);
  bad = record();
  std::swap(bad.files[0], bad.files[1]);
  EXPECT_EQ(write_ref(bad).error().code(), Code::kInvalid);
}

TEST_F(RefsTest, NamesAreReadableAndHoldNoSecret) {
  EXPECT_EQ(ref_file_name(ref_), "https%3A%2F%2Fhost%2Fmodel%2F");
  const auto secret = model::Ref::parse("https://me:word@host/model/?token=abc").value();
  const std::string name = ref_file_name(secret);
  EXPECT_EQ(name.find("word"), std::string::npos);
  EXPECT_EQ(name.find("abc"), std::string::npos);
  EXPECT_NE(name, ref_file_name(ref_));
  const auto hidden = model::Ref::parse(".hidden/model").value();
  EXPECT_EQ(ref_file_name(hidden), "%2Ehidden%2Fmodel");
}

TEST_F(RefsTest, LongRefsThatBeginAlikeHaveOtherNames) {
  const std::string prefix = "https://host/" + std::string(1000, 'a');
  const std::string one = ref_file_name(model::Ref::parse(prefix + "1").value());
  const std::string two = ref_file_name(model::Ref::parse(prefix + "2").value());
  EXPECT_NE(one, two);
  EXPECT_LE(one.size(), 200U);
}

TEST_F(RefsTest, APinHoldsUntilItIsTakenAway) {
  const hash::Root content_id = hash::hash_bytes(bytes_of(1, 1));
  EXPECT_EQ(store_.refs->pinned(ref_).value(), std::nullopt);
  ASSERT_TRUE(store_.refs->pin(ref_, content_id).ok());
  EXPECT_EQ(store_.refs->pinned(ref_).value(), content_id);
  EXPECT_EQ(pinned_snapshots(*store_.home).value(), std::vector{content_id});
  ASSERT_TRUE(store_.refs->unpin(ref_).ok());
  EXPECT_TRUE(pinned_snapshots(*store_.home)->empty());
}

TEST_F(RefsTest, ASealIsKeptByteForByte) {
  const auto seal = bytes_of(5, 1000);
  const auto digest = store_.refs->put_seal(seal).value();
  ASSERT_TRUE(store_.refs->put_seal(seal).ok());
  EXPECT_EQ(store_.refs->seal(digest).value(), seal);
  const std::string path = store_.home->in("seals", digest.hex());
  const std::string dirt = "x";
  ASSERT_TRUE(world_.real->open_to_write(path, io::Caching::kKeep)
                  .value()
                  ->write_at(0, std::as_bytes(std::span(dirt)))
                  .ok());
  EXPECT_EQ(store_.refs->seal(digest).error().code(), Code::kCorrupt);
  EXPECT_EQ(store_.refs->seal({}).error().code(), Code::kNotFound);
}

}  // namespace
}  // namespace weighbridge::store
