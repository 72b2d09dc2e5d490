#include "store/home.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/faulty_file_system.h"
#include "testing/scratch_directory.h"

namespace weighbridge::store {
namespace {

using base::Code;
using ::testing::HasSubstr;
using weighbridge::testing::FaultyFileSystem;

// A volume that says it is on the network. Confined to a test.
class NetworkFileSystem final : public io::FileSystem {
 public:
  explicit NetworkFileSystem(io::FileSystem& below) : below_(below) {}

  base::Result<std::unique_ptr<io::OpenFile>> open(const std::string& path) override {
    return below_.open(path);
  }

  base::Result<std::unique_ptr<io::OpenFile>> create(const std::string& path) override {
    return below_.create(path);
  }

  base::Result<io::FileInfo> info(const std::string& path) override { return below_.info(path); }

  base::Result<std::vector<io::DirectoryEntry>> list(const std::string& path) override {
    return below_.list(path);
  }

  base::Result<void> rename(const std::string& from, const std::string& to) override {
    return below_.rename(from, to);
  }

  base::Result<void> remove(const std::string& path) override { return below_.remove(path); }

  base::Result<void> make_directory(const std::string& path) override {
    return below_.make_directory(path);
  }

  base::Result<void> sync_directory(const std::string& path) override {
    return below_.sync_directory(path);
  }

  base::Result<io::Volume> volume(const std::string& path) override {
    io::Volume volume = TRY(below_.volume(path));
    volume.is_network = true;
    volume.kind = "nfs";
    return volume;
  }

 private:
  io::FileSystem& below_;
};

class HomeTest : public ::testing::Test {
 protected:
  void write(const std::string& path, std::string_view text) {
    ASSERT_TRUE(real_->create(path).value()->write_at(0, std::as_bytes(std::span(text))).ok());
  }

  const weighbridge::testing::ScratchDirectory scratch_;
  const std::unique_ptr<io::FileSystem> real_ = io::real_file_system();
  FaultyFileSystem disk_{*real_};
  const std::string path_ = scratch_ / "a/b/home";
};

TEST_F(HomeTest, IsMadeWithTheDirectoriesAboveIt) {
  ASSERT_TRUE(Home::open(disk_, path_).ok());
  const auto format = io::read_file(*real_, path_ + "/format", 100).value();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(format.data()), format.size()),
            "weighbridge store 1\n");
  EXPECT_TRUE(Home::open(disk_, path_).ok());
}

TEST_F(HomeTest, ANewerLayoutIsRefusedWithWords) {
  ASSERT_TRUE(real_->make_directory(scratch_ / "new").ok());
  write(scratch_ / "new/format", "weighbridge store 2\n");
  const auto opened = Home::open(disk_, scratch_ / "new");
  EXPECT_EQ(opened.error().code(), Code::kUnsupported);
  EXPECT_THAT(opened.error().message(), HasSubstr("layout version 2"));
  EXPECT_FALSE(opened.error().hint().empty());
}

TEST_F(HomeTest, ADamagedFormatIsRefused) {
  ASSERT_TRUE(real_->make_directory(scratch_ / "bad").ok());
  write(scratch_ / "bad/format", "weighbridge store one\n");
  EXPECT_EQ(Home::open(disk_, scratch_ / "bad").error().code(), Code::kCorrupt);
}

TEST_F(HomeTest, WhatProofsWroteBeforeThereWasAStoreIsNoOtherThing) {
  const std::string path = scratch_ / "home";
  ASSERT_TRUE(real_->make_directory(path).ok());
  ASSERT_TRUE(real_->make_directory(path + "/proofs").ok());
  ASSERT_TRUE(real_->make_directory(path + "/hashtrees").ok());
  EXPECT_TRUE(Home::open(disk_, path).ok());
}

TEST_F(HomeTest, ADirectoryOfOtherThingsIsRefused) {
  write(scratch_ / "thesis.tex", "");
  const auto opened = Home::open(disk_, scratch_.path());
  EXPECT_EQ(opened.error().code(), Code::kInvalid);
  EXPECT_THAT(opened.error().hint(), HasSubstr("WEIGHBRIDGE_HOME"));
}

TEST_F(HomeTest, ANetworkFileSystemIsRefusedAndTheHintSaysWhatToSet) {
  NetworkFileSystem network(*real_);
  const auto opened = Home::open(network, path_);
  EXPECT_EQ(opened.error().code(), Code::kUnsupported);
  EXPECT_THAT(opened.error().message(), HasSubstr("nfs"));
  EXPECT_THAT(opened.error().hint(), HasSubstr("WEIGHBRIDGE_HOME"));
}

TEST_F(HomeTest, AnOpeningThatFailedOrWasKilledAnywhereSucceedsNextTime) {
  for (const auto fault : {FaultyFileSystem::Fault::kIo,
                           FaultyFileSystem::Fault::kKilled,
                           FaultyFileSystem::Fault::kPowerLoss}) {
    for (std::uint64_t n = 1; n < 100; ++n) {
      const std::string path =
          scratch_ / (std::to_string(static_cast<int>(fault)) + "/" + std::to_string(n));
      disk_.fail_call(n, fault);
      const bool opened = Home::open(disk_, path).ok();
      if (fault == FaultyFileSystem::Fault::kPowerLoss) {
        disk_.lose_power(FaultyFileSystem::Names::kForgotten);
      }
      disk_.restart();
      EXPECT_TRUE(Home::open(disk_, path).ok()) << n;
      if (opened) {
        break;
      }
    }
  }
}

TEST_F(HomeTest, ADirectoryItMadeSurvivesPowerLoss) {
  const auto home = Home::open(disk_, path_).value();
  ASSERT_TRUE(home->make_directory("blobs/ab").ok());
  disk_.lose_power(FaultyFileSystem::Names::kForgotten);
  EXPECT_TRUE(real_->info(path_ + "/blobs/ab").ok());
}

TEST_F(HomeTest, ADirectoryAnotherMadeAndDidNotSyncLastsOnceItIsUsed) {
  const auto home = Home::open(disk_, path_).value();
  ASSERT_TRUE(disk_.make_directory(path_ + "/refs").ok());
  ASSERT_TRUE(home->make_directory("refs").ok());
  disk_.lose_power(FaultyFileSystem::Names::kForgotten);
  EXPECT_TRUE(real_->info(path_ + "/refs").ok());
}

TEST(HomePathTest, TheEnvironmentSaysWhereElseBelowTheUsersHome) {
  EXPECT_EQ(home_path("/disk/store/", "/home/me").value(), "/disk/store");
  EXPECT_EQ(home_path(nullptr, "/home/me").value(), "/home/me/.cache/weighbridge");
  EXPECT_EQ(home_path("", "/home/me").value(), "/home/me/.cache/weighbridge");
  EXPECT_EQ(home_path("store", "/home/me").error().code(), Code::kInvalid);
  EXPECT_EQ(home_path(nullptr, nullptr).error().code(), Code::kInvalid);
}

}  // namespace
}  // namespace weighbridge::store
