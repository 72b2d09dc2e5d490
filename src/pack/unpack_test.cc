#include "pack/unpack.h"

#include <algorithm>
#include <cstring>
#include <string>

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
using testing::noise;
using ::testing::Pair;
using testing::tar_of;

Result<void> unpack(const registry::Descriptor& layer,
                    std::string_view bytes,
                    Compression compression,
                    MemoryEntries& entries,
                    std::uint64_t limit_bytes = 1024 * 1024) {
  PathSet paths;
  auto unpacker = TRY(LayerUnpacker::open(layer, {compression, limit_bytes}, paths, entries));
  while (!bytes.empty()) {
    const auto window = unpacker->window();
    if (window.empty()) {
      break;
    }
    const std::size_t step = std::min({window.size(), bytes.size(), std::size_t{10'007}});
    std::memcpy(window.data(), bytes.data(), step);
    TRY(unpacker->landed(step));
    bytes.remove_prefix(step);
  }
  return unpacker->finish();
}

Result<void> unpack(std::string_view bytes, Compression compression, MemoryEntries& entries) {
  return unpack(registry::describe("application/x", bytes), bytes, compression, entries);
}

TEST(LayerUnpacker, GivesTheSameFilesFromEachEncoding) {
  const std::string tar = tar_of({{.path = "a", .body = noise(300'000)}, {.path = "b"}});
  for (const auto& [bytes, compression] : {std::pair(tar, Compression::kNone),
                                           std::pair(testing::gzip(tar), Compression::kGzip),
                                           std::pair(testing::zstd(tar), Compression::kZstd)}) {
    MemoryEntries entries;
    const auto done = unpack(bytes, compression, entries);
    ASSERT_TRUE(done.ok()) << done.error().message();
    EXPECT_THAT(entries.files, ElementsAre(Pair("a", noise(300'000)), Pair("b", "")));
  }
}

TEST(LayerUnpacker, TakesMembersThatFollowOneAnotherForOneStream) {
  const std::string tar = tar_of({{.path = "a", .body = noise(2000)}});
  for (const std::size_t cut : {1UL, 600UL, tar.size() - 1}) {
    MemoryEntries entries;
    const std::string gzip = testing::gzip(tar.substr(0, cut)) + testing::gzip(tar.substr(cut));
    EXPECT_TRUE(unpack(gzip, Compression::kGzip, entries).ok());
    const std::string zstd = testing::zstd(tar.substr(0, cut)) + testing::zstd(tar.substr(cut));
    EXPECT_TRUE(unpack(zstd, Compression::kZstd, entries).ok());
  }
}

TEST(LayerUnpacker, RefusesBytesThatAreNotTheLayersOwn) {
  const std::string tar = tar_of({{.path = "a", .body = "right"}});
  std::string other = tar;
  other[600] = 'x';
  MemoryEntries entries;
  const auto done =
      unpack(registry::describe("application/x", tar), other, Compression::kNone, entries);
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code(), Code::kCorrupt);
  EXPECT_THAT(done.error().message(), HasSubstr(registry::Digest::of(tar).text()));
  EXPECT_THAT(done.error().message(), HasSubstr(registry::Digest::of(other).text()));
}

TEST(LayerUnpacker, CallsALayerThatEndsEarlyCorrupt) {
  const std::string tar = tar_of({{.path = "a", .body = "right"}});
  MemoryEntries entries;
  const auto done = unpack(
      registry::describe("application/x", tar), tar.substr(0, 900), Compression::kNone, entries);
  EXPECT_EQ(done.error().code(), Code::kCorrupt);
}

TEST(LayerUnpacker, CallsADamagedStreamCorrupt) {
  const std::string tar = tar_of({{.path = "a", .body = noise(5000)}});
  for (const auto& [whole, compression] : {std::pair(testing::gzip(tar), Compression::kGzip),
                                           std::pair(testing::zstd(tar), Compression::kZstd)}) {
    std::string broken_head = whole;
    broken_head[1] ^= 1;
    for (const std::string& bytes :
         {whole.substr(0, whole.size() - 3), broken_head, whole + "behind", tar}) {
      MemoryEntries entries;
      const auto done = unpack(bytes, compression, entries);
      ASSERT_FALSE(done.ok());
      EXPECT_EQ(done.error().code(), Code::kCorrupt) << done.error().message();
    }
  }
}

TEST(LayerUnpacker, HoldsGzipToTheSumsAtItsEnd) {
  std::string flipped = testing::gzip(tar_of({{.path = "a", .body = noise(5000)}}));
  flipped[flipped.size() / 2] ^= 0x40;
  MemoryEntries entries;
  EXPECT_EQ(unpack(flipped, Compression::kGzip, entries).error().code(), Code::kCorrupt);
}

TEST(LayerUnpacker, StopsABombBeforeItsFilesAreLarge) {
  const std::string large(80ULL << 20U, '\0');
  const std::string tar = testing::tar_entry({.path = "a", .body = large});
  MemoryEntries entries;
  const std::string gzip = testing::gzip(tar);
  const auto limited = unpack(gzip, Compression::kGzip, entries);
  EXPECT_EQ(limited.error().code(), Code::kExhausted);
  EXPECT_THAT(limited.error().message(), HasSubstr("'a' has 83886080 bytes"));
  EXPECT_TRUE(entries.files.empty());

  const auto expanded = unpack(registry::describe("application/x", testing::zstd(tar)),
                               testing::zstd(tar),
                               Compression::kZstd,
                               entries,
                               1ULL << 40U);
  EXPECT_EQ(expanded.error().code(), Code::kExhausted);
  EXPECT_THAT(expanded.error().message(), HasSubstr("more than 1000 times"));
}

TEST(LayerUnpacker, RefusesAWindowThatIsTooLarge) {
  MemoryEntries entries;
  const std::string frame = testing::zstd(noise(1000), kMaxZstdWindowLog + 1);
  const auto done = unpack(frame, Compression::kZstd, entries);
  EXPECT_EQ(done.error().code(), Code::kExhausted);
  EXPECT_THAT(done.error().message(), HasSubstr("window"));
}

}  // namespace
}  // namespace weighbridge::pack
