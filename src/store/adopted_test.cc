#include "store/adopted.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "hash/hash_tree.h"
#include "store/scrub.h"
#include "store/testing/store_world.h"

namespace weighbridge::store {
namespace {

using base::Code;

class AdoptedTest : public ::testing::Test {
 protected:
  AdoptedTest() { std::filesystem::create_directory(directory_); }

  AdoptedFile write(const std::string& path, const std::string& text) {
    std::ofstream(directory_ + "/" + path) << text;
    const io::FileInfo info = world_.real->info(directory_ + "/" + path).value();
    return {path,
            root_of_text(text),
            info.size,
            info.device,
            info.inode,
            info.mtime_ns,
            info.ctime_ns,
            false};
  }

  static hash::Root root_of_text(const std::string& text) {
    return hash::hash_bytes(std::as_bytes(std::span(text)));
  }

  AdoptedDirectory directory(std::vector<AdoptedFile> files) {
    AdoptedDirectory adopted;
    adopted.directory = directory_;
    adopted.content_id = root_of_text("content");
    adopted.adopted_s = 7;
    adopted.files = std::move(files);
    return adopted;
  }

  testing::World world_;
  testing::Opened store_ = world_.open();
  const std::string directory_ = world_.scratch / "m o%del";
  Adopted adopted_{*store_.home};
};

TEST_F(AdoptedTest, WhatIsWrittenIsReadBackAndEveryOtherTextIsRefused) {
  AdoptedDirectory adopted = directory({write("a b", "1"), write("c", "22")});
  adopted.files[1].withdrawn = true;
  adopted.files[0].mtime_ns = -5;
  const auto bytes = write_adopted(adopted).value();
  EXPECT_EQ(parse_adopted(bytes).value(), adopted);
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    auto changed = bytes;
    changed[at] ^= std::byte{1};
    EXPECT_EQ(parse_adopted(changed).error().code(), Code::kCorrupt) << at;
    EXPECT_FALSE(parse_adopted(std::span(bytes).first(at)).ok()) << at;
  }
}

TEST_F(AdoptedTest, PathsOutOfOrderOrOutOfTheDirectoryAreRefused) {
  AdoptedDirectory adopted = directory({write("b", "1"), write("a", "2")});
  EXPECT_EQ(write_adopted(adopted).error().code(), Code::kInvalid);
  adopted.files = {write("x", "1")};
  adopted.files[0].path = "../x";
  EXPECT_EQ(write_adopted(adopted).error().code(), Code::kInvalid);
  adopted.files.clear();
  adopted.directory = "relative";
  EXPECT_EQ(write_adopted(adopted).error().code(), Code::kInvalid);
}

TEST_F(AdoptedTest, AFileIsFoundByItsRootWhileItIsTheSame) {
  ASSERT_TRUE(adopted_.put(directory({write("a", "hello")})).ok());
  const auto copy = adopted_.open(root_of_text("hello")).value();
  ASSERT_TRUE(copy.has_value());
  EXPECT_EQ(copy->path, directory_ + "/a");
  EXPECT_EQ(copy->size, 5U);
  EXPECT_FALSE(adopted_.open(root_of_text("other")).value().has_value());
}

TEST_F(AdoptedTest, AChangedFileIsSeenAndWithdrawnForGood) {
  ASSERT_TRUE(adopted_.put(directory({write("a", "hello"), write("b", "stays")})).ok());
  write("a", "jello");
  EXPECT_FALSE(adopted_.open(root_of_text("hello")).value().has_value());
  const auto read = adopted_.find(directory_).value();
  ASSERT_TRUE(read.has_value());
  EXPECT_TRUE(read->files[0].withdrawn);
  EXPECT_FALSE(read->files[1].withdrawn);
  EXPECT_TRUE(adopted_.open(root_of_text("stays")).value().has_value());
}

TEST_F(AdoptedTest, AFileOutOfReachIsPassedOverAndStays) {
  ASSERT_TRUE(adopted_.put(directory({write("a", "hello")})).ok());
  std::filesystem::rename(directory_, directory_ + "-away");
  EXPECT_FALSE(adopted_.open(root_of_text("hello")).value().has_value());
  std::filesystem::rename(directory_ + "-away", directory_);
  EXPECT_TRUE(adopted_.open(root_of_text("hello")).value().has_value());
}

TEST_F(AdoptedTest, ScrubReadsAgainAndWithdrawsWhatIsAnotherFileOrHoldsOtherBytes) {
  AdoptedDirectory adopted = directory(
      {write("gone", "1"), write("moved", "22"), write("rotten", "333"), write("same", "4444")});
  adopted.files[2].root = root_of_text("was here once");
  ASSERT_TRUE(adopted_.put(adopted).ok());
  std::filesystem::remove(directory_ + "/gone");
  write("moved", "other");
  const AdoptedScrub scrubbed = scrub_adopted(world_.call, adopted_, *world_.real, {}).value();
  EXPECT_EQ(scrubbed.files, 1U);
  EXPECT_EQ(scrubbed.bytes, 4U);
  EXPECT_EQ(scrubbed.withdrawn, (std::vector{directory_ + "/moved", directory_ + "/rotten"}));
  EXPECT_EQ(scrubbed.unreachable, std::vector{directory_ + "/gone"});
  EXPECT_TRUE(adopted_.find(directory_).value()->files[1].withdrawn);
  EXPECT_TRUE(scrub_adopted(world_.call, adopted_, *world_.real, {})->withdrawn.empty());
}

TEST_F(AdoptedTest, ALinkIsFollowedToWhatItLeadsTo) {
  write("real", "hello");
  std::filesystem::create_symlink("real", directory_ + "/link");
  const io::FileInfo info = world_.real->info(directory_ + "/link").value();
  ASSERT_TRUE(adopted_
                  .put(directory({{"link",
                                   root_of_text("hello"),
                                   info.size,
                                   info.device,
                                   info.inode,
                                   info.mtime_ns,
                                   info.ctime_ns,
                                   false}}))
                  .ok());
  EXPECT_TRUE(adopted_.open(root_of_text("hello")).value().has_value());
}

TEST_F(AdoptedTest, ARemovedOrDamagedRecordCountsAsAbsentAndTheFilesStay) {
  ASSERT_TRUE(adopted_.put(directory({write("a", "hello")})).ok());
  ASSERT_EQ(adopted_.all().value().size(), 1U);
  ASSERT_TRUE(adopted_.remove(directory_).ok());
  EXPECT_TRUE(adopted_.all().value().empty());
  EXPECT_FALSE(adopted_.open(root_of_text("hello")).value().has_value());
  EXPECT_TRUE(std::filesystem::exists(directory_ + "/a"));
  std::ofstream(world_.home + "/adopted/junk") << "junk";
  EXPECT_TRUE(adopted_.all().value().empty());
}

}  // namespace
}  // namespace weighbridge::store
