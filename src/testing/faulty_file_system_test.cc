#include "testing/faulty_file_system.h"

#include <string>

#include <gtest/gtest.h>

#include "testing/scratch_directory.h"

namespace weighbridge::testing {
namespace {

using base::Code;
using Fault = FaultyFileSystem::Fault;
using Names = FaultyFileSystem::Names;

class FaultyFileSystemTest : public ::testing::Test {
 protected:
  // A new file with that text, not synced.
  std::unique_ptr<io::OpenFile> write(const std::string& path, const std::string& text) {
    auto file = disk_.create(path).value();
    EXPECT_TRUE(file->write_at(0, std::as_bytes(std::span(text))).ok());
    return file;
  }

  // What is really there: a text, or "absent".
  std::string found(const std::string& path) {
    const auto bytes = io::read_file(*real_, path, 1 << 20);
    if (!bytes.ok()) {
      return "absent";
    }
    return {reinterpret_cast<const char*>(bytes->data()), bytes->size()};
  }

  const ScratchDirectory scratch_;
  const std::unique_ptr<io::FileSystem> real_ = io::real_file_system();
  FaultyFileSystem disk_{*real_};
  const std::string path_ = scratch_ / "file";
};

TEST_F(FaultyFileSystemTest, FailsTheCallItWasToldToAndNoOther) {
  disk_.fail_call(2, Fault::kIo);
  EXPECT_TRUE(disk_.info(scratch_.path()).ok());
  EXPECT_EQ(disk_.info(scratch_.path()).error().code(), Code::kIo);
  EXPECT_TRUE(disk_.info(scratch_.path()).ok());
  EXPECT_EQ(disk_.calls(), 3U);
}

TEST_F(FaultyFileSystemTest, ADiskWithoutSpaceTakesNothing) {
  const auto file = write(path_, "old");
  disk_.fail_call(1, Fault::kExhausted);
  const std::string text = "new";
  EXPECT_EQ(file->write_at(0, std::as_bytes(std::span(text))).error().code(), Code::kExhausted);
  EXPECT_EQ(found(path_), "old");
}

TEST_F(FaultyFileSystemTest, ATornWriteLeavesItsFirstHalf) {
  const auto file = disk_.create(path_).value();
  disk_.fail_call(1, Fault::kTornWrite);
  const std::string text = "12345678";
  EXPECT_EQ(file->write_at(0, std::as_bytes(std::span(text))).error().code(), Code::kIo);
  EXPECT_EQ(found(path_), "1234");
}

TEST_F(FaultyFileSystemTest, WhatWasSyncedWithItsNameSurvivesPowerLoss) {
  ASSERT_TRUE(write(path_, "kept")->sync().ok());
  ASSERT_TRUE(disk_.sync_directory(scratch_.path()).ok());
  disk_.lose_power(Names::kForgotten);
  EXPECT_EQ(found(path_), "kept");
}

TEST_F(FaultyFileSystemTest, BytesThatWereNotSyncedAreLost) {
  const auto file = write(path_, "kept");
  ASSERT_TRUE(file->sync().ok());
  ASSERT_TRUE(disk_.sync_directory(scratch_.path()).ok());
  const std::string text = "lost";
  ASSERT_TRUE(file->write_at(0, std::as_bytes(std::span(text))).ok());
  disk_.lose_power(Names::kForgotten);
  EXPECT_EQ(found(path_), "kept");
}

TEST_F(FaultyFileSystemTest, NamesThatWereNotSyncedAreLostOrNot) {
  ASSERT_TRUE(write(path_, "text")->sync().ok());
  disk_.lose_power(Names::kForgotten);
  EXPECT_EQ(found(path_), "absent");
  ASSERT_TRUE(write(path_, "text")->sync().ok());
  disk_.lose_power(Names::kKept);
  EXPECT_EQ(found(path_), "text");
}

TEST_F(FaultyFileSystemTest, ARenameThatWasNotSyncedIsUndone) {
  ASSERT_TRUE(write(path_, "old")->sync().ok());
  ASSERT_TRUE(write(scratch_ / "new", "new")->sync().ok());
  ASSERT_TRUE(disk_.sync_directory(scratch_.path()).ok());
  ASSERT_TRUE(disk_.rename(scratch_ / "new", path_).ok());
  EXPECT_EQ(found(path_), "new");
  disk_.lose_power(Names::kForgotten);
  EXPECT_EQ(found(path_), "old");
  EXPECT_EQ(found(scratch_ / "new"), "new");
}

TEST_F(FaultyFileSystemTest, ARemovalThatWasNotSyncedIsUndone) {
  ASSERT_TRUE(write(path_, "text")->sync().ok());
  ASSERT_TRUE(disk_.sync_directory(scratch_.path()).ok());
  ASSERT_TRUE(disk_.remove(path_).ok());
  disk_.lose_power(Names::kForgotten);
  EXPECT_EQ(found(path_), "text");
}

TEST_F(FaultyFileSystemTest, ADirectoryThatWasNotSyncedTakesItsFilesAlong) {
  const std::string directory = scratch_ / "directory";
  ASSERT_TRUE(disk_.make_directory(directory).ok());
  ASSERT_TRUE(write(directory + "/file", "text")->sync().ok());
  ASSERT_TRUE(disk_.sync_directory(directory).ok());
  disk_.lose_power(Names::kForgotten);
  EXPECT_EQ(real_->info(directory).error().code(), Code::kNotFound);
  EXPECT_EQ(found(directory + "/file"), "absent");
}

TEST_F(FaultyFileSystemTest, WhatStoodThereBeforeIsDurable) {
  const std::string text = "before";
  ASSERT_TRUE(real_->create(path_).value()->write_at(0, std::as_bytes(std::span(text))).ok());
  ASSERT_TRUE(disk_.remove(path_).ok());
  disk_.lose_power(Names::kForgotten);
  EXPECT_EQ(found(path_), "before");
}

TEST_F(FaultyFileSystemTest, WithoutPowerEveryCallFailsUntilItIsBack) {
  disk_.fail_call(1, Fault::kPowerLoss);
  EXPECT_FALSE(disk_.info(scratch_.path()).ok());
  EXPECT_FALSE(disk_.info(scratch_.path()).ok());
  disk_.lose_power(Names::kKept);
  EXPECT_TRUE(disk_.info(scratch_.path()).ok());
}

TEST_F(FaultyFileSystemTest, AKillTearsTheWriteAndLeavesAllThatCameBefore) {
  const auto file = write(path_, "before");
  disk_.fail_call(1, Fault::kKilled);
  const std::string text = "12345678";
  EXPECT_FALSE(file->write_at(6, std::as_bytes(std::span(text))).ok());
  EXPECT_FALSE(file->write_at(0, std::as_bytes(std::span(text))).ok());
  EXPECT_FALSE(disk_.remove(path_).ok());
  disk_.restart();
  EXPECT_EQ(found(path_), "before1234");
  EXPECT_TRUE(disk_.remove(path_).ok());
}

TEST_F(FaultyFileSystemTest, ALinkIsTheSameFileAfterPowerLossToo) {
  ASSERT_TRUE(write(path_, "text")->sync().ok());
  ASSERT_TRUE(disk_.link(path_, scratch_ / "other").ok());
  ASSERT_TRUE(disk_.sync_directory(scratch_.path()).ok());
  disk_.lose_power(Names::kForgotten);
  EXPECT_EQ(found(scratch_ / "other"), "text");
  EXPECT_EQ(real_->info(path_)->inode, real_->info(scratch_ / "other")->inode);
  EXPECT_EQ(real_->info(path_)->links, 2U);
}

TEST_F(FaultyFileSystemTest, ALinkThatWasNotSyncedIsUndone) {
  ASSERT_TRUE(write(path_, "text")->sync().ok());
  ASSERT_TRUE(disk_.sync_directory(scratch_.path()).ok());
  ASSERT_TRUE(disk_.link(path_, scratch_ / "other").ok());
  disk_.lose_power(Names::kForgotten);
  EXPECT_EQ(found(scratch_ / "other"), "absent");
  EXPECT_EQ(found(path_), "text");
}

TEST_F(FaultyFileSystemTest, SyncOfTheVolumeMakesEverythingLast) {
  const auto file = write(path_, "text");
  ASSERT_TRUE(disk_.sync_volume(scratch_.path()).ok());
  disk_.lose_power(Names::kForgotten);
  EXPECT_EQ(found(path_), "text");
}

TEST_F(FaultyFileSystemTest, AFileKeepsItsModeOverPowerLoss) {
  const auto file = write(path_, "text");
  ASSERT_TRUE(file->set_mode(0444).ok());
  ASSERT_TRUE(disk_.sync_volume(scratch_.path()).ok());
  disk_.lose_power(Names::kForgotten);
  EXPECT_EQ(real_->info(path_)->mode, 0444U);
}

}  // namespace
}  // namespace weighbridge::testing
