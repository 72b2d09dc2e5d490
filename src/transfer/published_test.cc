#include "transfer/published.h"

#include <string>

#include <gtest/gtest.h>

#include "hash/hash_tree.h"

namespace weighbridge::transfer {
namespace {

using base::Code;

std::vector<PublishedFile> some_files() {
  const hash::Root one = hash::hash_bytes({});
  hash::Root other = one;
  other.bytes[3] ^= std::byte{1};
  return {{one, other, 0, "a b"}, {other, one, 1234567, "sub/model.safetensors"}};
}

TEST(PublishedTest, ReadsBackWhatItWrote) {
  EXPECT_EQ(parse_published(write_published(some_files())).value(), some_files());
  EXPECT_TRUE(parse_published(write_published({}))->empty());
}

TEST(PublishedTest, RefusesEveryFlippedBitAndEveryCut) {
  const auto bytes = write_published(some_files());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    auto flipped = bytes;
    flipped[i] ^= std::byte{1};
    EXPECT_EQ(parse_published(flipped).error().code(), Code::kCorrupt) << i;
    EXPECT_EQ(parse_published(std::span(bytes).first(i)).error().code(), Code::kCorrupt) << i;
  }
}

TEST(PublishedTest, RefusesPathsThatNoSnapshotHas) {
  auto files = some_files();
  files[0].path = "../outside";
  EXPECT_EQ(parse_published(write_published(files)).error().code(), Code::kCorrupt);
}

}  // namespace
}  // namespace weighbridge::transfer
