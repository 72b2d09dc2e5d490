#include "pack/tar_reader.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pack/testing/archives.h"

namespace weighbridge::pack {
namespace {

using base::Code;
using base::Result;
using testing::bytes_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::MemoryEntries;
using ::testing::Pair;
using testing::pax;
using testing::tar_end;
using testing::tar_entry;
using testing::tar_of;
using testing::TarEntry;

constexpr std::uint64_t kLimit = 1024 * 1024;

struct Read {
  MemoryEntries entries;
  PathSet paths;
  std::vector<std::string> left_out;
  Result<void> result;
};

// Feeds the archive in steps of `step` bytes.
void read(std::string_view tar, Read& into, std::size_t step = 1 << 20) {
  TarReader reader({kLimit, [&](const std::string& path) { into.left_out.push_back(path); }},
                   into.paths,
                   into.entries);
  for (std::size_t at = 0; at < tar.size(); at += step) {
    into.result = reader.feed(bytes_of(tar.substr(at, step)));
    if (!into.result.ok()) {
      return;
    }
  }
  into.result = reader.finish();
}

TEST(TarReader, GivesFilesWhateverTheStepsInWhichTheBytesCome) {
  const std::string tar = tar_of({{.path = "model/", .type = '5', .mode = 0755},
                                  {.path = "model/a.bin", .body = testing::noise(1000)},
                                  {.path = "./model/run.sh", .body = "#!", .mode = 0755},
                                  {.path = "empty", .body = ""},
                                  {.path = "block", .body = std::string(512, 'x')}});
  for (const std::size_t step : {1UL, 7UL, 511UL, 512UL, 513UL, 100'000UL}) {
    Read out;
    read(tar, out, step);
    ASSERT_TRUE(out.result.ok()) << out.result.error().message();
    EXPECT_THAT(out.entries.files,
                ElementsAre(Pair("block", std::string(512, 'x')),
                            Pair("empty", ""),
                            Pair("model/a.bin", testing::noise(1000)),
                            Pair("model/run.sh", "#!")));
    EXPECT_TRUE(out.entries.executable["model/run.sh"]);
    EXPECT_FALSE(out.entries.executable["model/a.bin"]);
  }
}

TEST(TarReader, ReadsLongNamesAndSizesOfPaxAndGnu) {
  const std::string long_name = "d/" + std::string(150, 'n');
  std::string tar = pax({{"path", long_name}, {"mtime", "1.5"}, {"size", "3"}});
  tar += tar_entry({.path = "cut off", .body = "abc", .size_field = "00000000000"});
  tar += tar_entry({.path = "././@LongLink", .body = long_name + "2" + '\0', .type = 'L'});
  tar += tar_entry({.path = "cut off", .body = "de"});
  tar += pax({{"comment", "of a commit"}}, 'g');
  tar += tar_entry({.path = "base256",
                    .body = "fg",
                    .size_field = std::string("\x80\0\0\0\0\0\0\0\0\0\0\x02", 12)});
  Read out;
  read(tar + tar_end(), out);
  ASSERT_TRUE(out.result.ok()) << out.result.error().message();
  EXPECT_THAT(
      out.entries.files,
      ElementsAre(Pair("base256", "fg"), Pair(long_name, "abc"), Pair(long_name + "2", "de")));
}

TEST(TarReader, LeavesOutWhatNoSealMayList) {
  Read out;
  read(tar_of({{.path = ".git/config", .body = "x"},
               {.path = "a", .body = "y"},
               {.path = ".cache/huggingface/x", .body = ""},
               {.path = "weighbridge.seal", .body = "z"}}),
       out);
  ASSERT_TRUE(out.result.ok());
  EXPECT_THAT(out.entries.files, ElementsAre(Pair("a", "y")));
  EXPECT_THAT(out.left_out, ElementsAre(".git/config", ".cache/huggingface/x", "weighbridge.seal"));
}

TEST(TarReader, PassesOnWhatItsSinkSays) {
  class Full final : public EntrySink {
   public:
    Result<void> begin(const Entry&) override { return {}; }

    Result<void> write(std::span<const std::byte>) override {
      return base::Error(Code::kExhausted, "the disk is full");
    }

    Result<void> end() override { return {}; }
  };

  Full sink;
  PathSet paths;
  TarReader reader({kLimit}, paths, sink);
  const auto fed = reader.feed(bytes_of(tar_of({{.path = "a", .body = "x"}})));
  ASSERT_FALSE(fed.ok());
  EXPECT_EQ(fed.error().message(), "the disk is full");
}

TEST(TarReader, CallsAnArchiveThatIsCutAnywhereDamaged) {
  const std::string tar = tar_of({{.path = "a", .body = "xyz"}});
  for (std::size_t cut = 0; cut < tar.size(); cut += 64) {
    Read out;
    read(tar.substr(0, cut), out);
    ASSERT_FALSE(out.result.ok()) << cut;
    EXPECT_EQ(out.result.error().code(), Code::kCorrupt) << cut;
  }
}

TEST(TarReader, BoundsTheEntriesThatAreNoFiles) {
  const std::string directory = tar_entry({.path = "d/", .type = '5'});
  MemoryEntries entries;
  PathSet paths;
  TarReader reader({kLimit}, paths, entries);
  Result<void> fed;
  for (std::size_t i = 0; i <= 2 * kMaxArtifactFiles && fed.ok(); ++i) {
    fed = reader.feed(bytes_of(directory));
  }
  ASSERT_FALSE(fed.ok());
  EXPECT_EQ(fed.error().code(), Code::kExhausted);
}

TEST(TarReader, TakesNoExtensionAboveItsLimit) {
  Read out;
  read(tar_entry({.path = "x", .type = 'x', .size_field = "00010000001"}), out);
  ASSERT_FALSE(out.result.ok());
  EXPECT_EQ(out.result.error().code(), Code::kExhausted);
  EXPECT_THAT(out.result.error().message(), HasSubstr("extensions"));
}

}  // namespace
}  // namespace weighbridge::pack
