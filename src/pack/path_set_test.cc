#include "pack/path_set.h"

#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace weighbridge::pack {
namespace {

using base::Code;

TEST(PathSet, TakesPathsThatCanStandTogether) {
  PathSet paths;
  EXPECT_TRUE(paths.add_file("a/b").ok());
  EXPECT_TRUE(paths.add_file("a/c").ok());
  EXPECT_TRUE(paths.add_directory("a").ok());
  EXPECT_TRUE(paths.add_directory("a").ok());
  EXPECT_TRUE(paths.add_file("a-b").ok());
  EXPECT_EQ(paths.file_count(), 3U);
}

TEST(PathSet, RefusesByNameWhatCannotStandBesideWhatIsThere) {
  PathSet paths;
  ASSERT_TRUE(paths.add_file("Model/one.bin").ok());
  for (const auto& [path, why] : {std::pair("Model/one.bin", "stands there twice"),
                                  std::pair("Model/ONE.bin", "differ only in the case"),
                                  std::pair("model/two.bin", "differ only in the case"),
                                  std::pair("Model", "both a file and a directory"),
                                  std::pair("Model/one.bin/x", "both a file and a directory")}) {
    const auto added = paths.add_file(path);
    ASSERT_FALSE(added.ok()) << path;
    EXPECT_EQ(added.error().code(), Code::kInvalid) << path;
    EXPECT_NE(added.error().message().find(why), std::string::npos) << added.error().message();
  }
  EXPECT_FALSE(paths.add_directory("Model/one.bin").ok());
  EXPECT_EQ(paths.file_count(), 1U);
}

TEST(PathSet, RefusesWhatLeadsOutOrIsNoPath) {
  PathSet paths;
  std::string deep = "a";
  for (std::size_t i = 0; i < kMaxPathParts; ++i) {
    deep += "/a";
  }
  for (const std::string& path : {std::string(),
                                  std::string("/etc/passwd"),
                                  std::string("../x"),
                                  std::string("a/../b"),
                                  std::string("a//b"),
                                  std::string("a/./b"),
                                  std::string("a\\b"),
                                  std::string("a\nb"),
                                  std::string("\xff"),
                                  std::string("a/"),
                                  deep,
                                  std::string(5000, 'a')}) {
    const auto added = paths.add_file(path);
    ASSERT_FALSE(added.ok()) << path;
    EXPECT_EQ(added.error().code(), Code::kInvalid) << path;
  }
}

TEST(PathSet, BoundsHowManyFilesThereAre) {
  PathSet paths;
  for (std::size_t i = 0; i < kMaxArtifactFiles; ++i) {
    ASSERT_TRUE(paths.add_file(fmt::format("f{}", i)).ok());
  }
  EXPECT_EQ(paths.add_file("one more").error().code(), Code::kExhausted);
}

TEST(PathSet, BoundsHowLongPathsAreTogether) {
  PathSet paths;
  base::Result<void> added;
  std::size_t count = 0;
  while (added.ok()) {
    added = paths.add_file(fmt::format("{:0>4000}", ++count));
  }
  EXPECT_EQ(added.error().code(), Code::kExhausted);
  EXPECT_LE(count * 4000, kMaxPathBytes);
}

}  // namespace
}  // namespace weighbridge::pack
