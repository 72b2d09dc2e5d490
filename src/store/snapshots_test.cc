#include "store/snapshots.h"

#include <gtest/gtest.h>

#include "base/units.h"
#include "formats/seal.h"
#include "hash/hash_tree.h"
#include "store/copies.h"
#include "store/testing/store_world.h"

namespace weighbridge::store {
namespace {

using base::Code;
using base::kMiB;
using testing::Bytes;
using testing::bytes_of;
using testing::fetch;
using testing::sealed;

class SnapshotsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    files_[2].executable = true;
    for (std::size_t i = 0; i < files_.size(); ++i) {
      ASSERT_TRUE(fetch(world_.call, *store_.blobs, files_[i], contents_[i]).ok());
    }
  }

  testing::World world_;
  testing::Opened store_ = world_.open();
  const std::vector<Bytes> contents_ = {bytes_of(1, 3 * kMiB), bytes_of(2, 10), bytes_of(3, 20)};
  std::vector<model::File> files_ = {sealed("a/b/weights", contents_[0]),
                                     sealed("config.json", contents_[1]),
                                     sealed("run.sh", contents_[2])};
};

TEST_F(SnapshotsTest, FilesStandUnderTheirNamesAsLinks) {
  const std::string directory = store_.snapshots->make(world_.call, files_).value();
  for (std::size_t i = 0; i < files_.size(); ++i) {
    EXPECT_EQ(io::read_file(*world_.real, directory + "/" + files_[i].path, 10 * kMiB).value(),
              contents_[i]);
  }
  EXPECT_EQ(world_.real->info(directory + "/config.json")->inode,
            world_.real->info(store_.home->blob(*files_[1].root))->inode);
  EXPECT_EQ(world_.real->info(directory + "/run.sh")->mode, 0555U);
  EXPECT_EQ(world_.real->info(directory + "/config.json")->mode, 0444U);
}

TEST_F(SnapshotsTest, AFinishedSnapshotSurvivesPowerLoss) {
  ASSERT_TRUE(store_.snapshots->make(world_.call, files_).ok());
  world_.disk.lose_power(weighbridge::testing::FaultyFileSystem::Names::kForgotten);
  store_ = world_.open();
  const auto content_id = *model::content_id(files_);
  EXPECT_EQ(store_.snapshots->find(content_id)->value().size(), 3U);
  EXPECT_EQ(store_.snapshots->all().value(), std::vector{content_id});
}

TEST_F(SnapshotsTest, WhatIsMissingOfADirectoryIsMadeAgain) {
  const std::string directory = store_.snapshots->make(world_.call, files_).value();
  ASSERT_TRUE(world_.real->remove(directory + "/config.json").ok());
  EXPECT_EQ(store_.snapshots->find(*model::content_id(files_)).value(), std::nullopt);
  EXPECT_EQ(store_.snapshots->make(world_.call, files_).value(), directory);
  EXPECT_TRUE(store_.snapshots->find(*model::content_id(files_))->has_value());
}

TEST_F(SnapshotsTest, ASnapshotWithoutAllItsBlobsIsNotFound) {
  ASSERT_TRUE(store_.space->remove(world_.call, {*files_[1].root}).ok());
  EXPECT_EQ(store_.snapshots->make(world_.call, files_).error().code(), Code::kNotFound);
  EXPECT_EQ(store_.snapshots->find(*model::content_id(files_)).value(), std::nullopt);
  files_[0].root.reset();
  EXPECT_EQ(store_.snapshots->make(world_.call, files_).error().code(), Code::kInvalid);
}

TEST_F(SnapshotsTest, RemovingItLeavesItsBlobs) {
  const std::string directory = store_.snapshots->make(world_.call, files_).value();
  ASSERT_TRUE(store_.snapshots->remove(world_.call, *model::content_id(files_)).ok());
  EXPECT_FALSE(world_.real->info(directory).ok());
  EXPECT_TRUE(store_.blobs->open(world_.call, *files_[0].root).ok());
  EXPECT_TRUE(store_.snapshots->remove(world_.call, *model::content_id(files_)).ok());
}

TEST_F(SnapshotsTest, AListThatIsNotWhatItsNameSaysIsCorrupt) {
  ASSERT_TRUE(store_.snapshots->make(world_.call, files_).ok());
  const hash::Root content_id = *model::content_id(files_);
  auto list =
      io::read_file(*world_.real, list_path(*store_.home, content_id), kMaxListBytes).value();
  EXPECT_EQ(parse_list(list, content_id)->size(), 3U);
  list[70] ^= std::byte{1};
  EXPECT_EQ(parse_list(list, content_id).error().code(), Code::kCorrupt);
  const std::string hostile = std::string(64, '0') + " 1 - ../x" + std::string(1, '\0');
  const auto bytes = std::as_bytes(std::span(hostile));
  EXPECT_EQ(parse_list(bytes, hash::hash_bytes(bytes)).error().code(), Code::kCorrupt);
}

TEST_F(SnapshotsTest, APieceAtTheSameIndexIsFoundInAnEarlierRevision) {
  formats::SealedFile wanted;
  Bytes revised = contents_[0];
  revised[kMiB + 5] ^= std::byte{1};
  wanted.size = revised.size();
  wanted.root = hash::hash_bytes(revised);
  wanted.pieces = testing::values_of(revised);
  const auto copies =
      find_copies(world_.call, *store_.home, *store_.blobs, *store_.refs, wanted).value();
  EXPECT_EQ(copies,
            (std::vector<Copy>{{{0, kMiB}, *files_[0].root, 0},
                               {{2 * kMiB, 3 * kMiB}, *files_[0].root, 2 * kMiB}}));
  // What says so may be lost: it costs no more than the copies.
  ASSERT_TRUE(world_.real->remove(store_.home->tree(*files_[0].root)).ok());
  EXPECT_TRUE(find_copies(world_.call, *store_.home, *store_.blobs, *store_.refs, wanted)->empty());
}

TEST_F(SnapshotsTest, ATensorWithTheSameHintIsFoundElsewhere) {
  formats::SealedFile kept;
  kept.path = "a/b/weights";
  kept.size = contents_[0].size();
  kept.root = *files_[0].root;
  kept.pieces = testing::values_of(contents_[0]);
  kept.hints = {{{100, 100 + kMiB}, {}}};
  const auto seal = formats::write_seal({{kept}}).value();
  ASSERT_TRUE(store_.refs->put_seal(seal).ok());
  formats::SealedFile wanted;
  wanted.size = 2 * kMiB;
  wanted.pieces.resize(2);
  wanted.hints = {{{50, 50 + kMiB}, {}}};
  const auto copies =
      find_copies(world_.call, *store_.home, *store_.blobs, *store_.refs, wanted).value();
  EXPECT_EQ(copies, (std::vector<Copy>{{{50, 50 + kMiB}, kept.root, 100}}));
}

}  // namespace
}  // namespace weighbridge::store
