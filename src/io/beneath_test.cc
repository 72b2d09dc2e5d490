#include "io/beneath.h"

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/scratch_directory.h"

namespace weighbridge::io {
namespace {

using base::Code;
using ::testing::HasSubstr;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

// Both ways of following paths promise the same.
class BeneathTest : public ::testing::TestWithParam<Follow> {
 protected:
  BeneathTest() {
    std::filesystem::create_directories(scratch_ / "inside/deep");
    std::filesystem::create_directories(scratch_ / "outside");
    write("outside/secret", "secret");
    files_ = open_beneath(scratch_ / "inside", GetParam()).value();
  }

  void write(const std::string& name, std::string_view text) {
    const auto files = real_file_system();
    ASSERT_TRUE(files->create(scratch_ / name).value()->write_at(0, bytes_of(text)).ok());
  }

  std::string read(const std::string& name) {
    const auto files = real_file_system();
    const auto bytes = read_file(*files, scratch_ / name, 1 << 20).value();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  // A link inside that leads to `target`.
  void plant(const std::string& target, const std::string& name) {
    std::filesystem::create_symlink(target, scratch_ / "inside/" + name);
  }

  void expect_refused(const std::string& path) {
    EXPECT_EQ(files_->open(path).error().code(), Code::kDenied) << path;
    EXPECT_EQ(files_->open_to_write(path, Caching::kKeep).error().code(), Code::kDenied) << path;
  }

  const testing::ScratchDirectory scratch_;
  std::unique_ptr<FileSystem> files_;
};

INSTANTIATE_TEST_SUITE_P(Follow,
                         BeneathTest,
                         ::testing::Values(Follow::kAsTheKernelCan, Follow::kNameByName),
                         [](const auto& name) {
                           return name.param == Follow::kNameByName ? "NameByName" : "AtOnce";
                         });

TEST_P(BeneathTest, DoesWhatAFileSystemDoesBelowItsDirectory) {
  ASSERT_TRUE(files_->make_directory("new").ok());
  ASSERT_TRUE(files_->create("new/a").value()->write_at(0, bytes_of("text")).ok());
  EXPECT_EQ(files_->create("new/a").error().code(), Code::kExists);
  ASSERT_TRUE(files_->rename("new/a", "./deep/b").ok());
  ASSERT_TRUE(files_->link("deep/b", "deep/c").ok());
  EXPECT_EQ(files_->info("deep/c").value().links, 2U);
  EXPECT_EQ(files_->info(".").value().kind, Kind::kDirectory);
  EXPECT_EQ(files_->list("deep").value().size(), 2U);
  EXPECT_EQ(files_->list(".").value().size(), 2U);
  EXPECT_TRUE(files_->sync_directory("deep").ok());
  EXPECT_TRUE(files_->sync_directory(".").ok());
  EXPECT_TRUE(files_->sync_volume(".").ok());
  EXPECT_GT(files_->volume(".").value().total_bytes, 0U);
  EXPECT_EQ(read("inside/deep/b"), "text");
  EXPECT_TRUE(files_->remove("deep/c").ok());
  EXPECT_TRUE(files_->remove("new").ok());
  EXPECT_EQ(files_->open("new/a").error().code(), Code::kNotFound);
  EXPECT_EQ(files_->remove("deep").error().code(), Code::kExists);
}

TEST_P(BeneathTest, WritesWholeFilesAtomically) {
  ASSERT_TRUE(write_file_atomically(*files_, "deep/whole", bytes_of("all")).ok());
  ASSERT_TRUE(write_file_atomically(*files_, "whole", bytes_of("all")).ok());
  EXPECT_EQ(read("inside/whole"), "all");
  EXPECT_EQ(files_->list("deep").value().size(), 1U);
}

TEST_P(BeneathTest, FollowsNoLinkToAFile) {
  plant("../outside/secret", "relative");
  plant(scratch_ / "outside/secret", "absolute");
  plant("deep", "inner");
  for (const std::string name : {"relative", "absolute", "inner"}) {
    expect_refused(name);
    EXPECT_EQ(files_->info(name).value().kind, Kind::kLink);
    EXPECT_EQ(files_->create(name).error().code(), Code::kExists);
  }
  EXPECT_THAT(files_->open("relative").error().message(),
              HasSubstr("inside/relative: a symbolic link stands in the way"));
}

TEST_P(BeneathTest, FollowsNoLinkToADirectory) {
  plant("../outside", "relative");
  plant(scratch_ / "outside", "absolute");
  plant("deep", "inner");
  for (const std::string link : {"relative", "absolute", "inner"}) {
    const std::string path = link + "/secret";
    expect_refused(path);
    EXPECT_EQ(files_->info(path).error().code(), Code::kDenied);
    EXPECT_EQ(files_->create(link + "/new").error().code(), Code::kDenied);
    EXPECT_EQ(files_->make_directory(link + "/new").error().code(), Code::kDenied);
    EXPECT_EQ(files_->remove(path).error().code(), Code::kDenied);
    EXPECT_EQ(files_->list(link).error().code(), Code::kDenied);
    EXPECT_EQ(files_->sync_directory(link).error().code(), Code::kDenied);
    ASSERT_TRUE(files_->create("own-" + link).ok());
    EXPECT_EQ(files_->rename("own-" + link, path).error().code(), Code::kDenied);
    EXPECT_EQ(files_->rename(path, "taken").error().code(), Code::kDenied);
    EXPECT_EQ(files_->link(path, "taken").error().code(), Code::kDenied);
  }
  EXPECT_EQ(read("outside/secret"), "secret");
}

TEST_P(BeneathTest, RemovesAndReplacesALinkAndNotWhatItLeadsTo) {
  plant("../outside/secret", "removed");
  plant("../outside/secret", "replaced");
  ASSERT_TRUE(files_->create("mine").value()->write_at(0, bytes_of("mine")).ok());
  ASSERT_TRUE(files_->remove("removed").ok());
  ASSERT_TRUE(files_->rename("mine", "replaced").ok());
  EXPECT_EQ(read("outside/secret"), "secret");
  EXPECT_EQ(files_->info("replaced").value().kind, Kind::kFile);
}

TEST_P(BeneathTest, RefusesPathsThatLeadOut) {
  for (const std::string path : {"..", "../outside/secret", "deep/../../outside", "/etc/passwd"}) {
    EXPECT_EQ(files_->open(path).error().code(), Code::kInvalid) << path;
    EXPECT_EQ(files_->info(path).error().code(), Code::kInvalid) << path;
    EXPECT_EQ(files_->create(path).error().code(), Code::kInvalid) << path;
    EXPECT_EQ(files_->rename("deep", path).error().code(), Code::kInvalid) << path;
  }
  EXPECT_EQ(files_->open(std::string("a\0b", 3)).error().code(), Code::kInvalid);
}

TEST_P(BeneathTest, StaysInItsDirectoryWhenSomethingElseTakesItsName) {
  std::filesystem::rename(scratch_ / "inside", scratch_ / "moved");
  std::filesystem::create_directory_symlink(scratch_ / "outside", scratch_ / "inside");
  ASSERT_TRUE(files_->create("file").value()->write_at(0, bytes_of("x")).ok());
  EXPECT_EQ(read("moved/file"), "x");
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "outside/file"));
}

TEST_P(BeneathTest, SaysWhichDirectoryIsMissing) {
  const auto missing = open_beneath(scratch_ / "nowhere", GetParam());
  EXPECT_EQ(missing.error().code(), Code::kNotFound);
  EXPECT_EQ(open_beneath(scratch_ / "outside/secret").error().code(), Code::kNotFound);
}

}  // namespace
}  // namespace weighbridge::io
