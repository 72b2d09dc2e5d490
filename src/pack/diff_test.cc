#include "pack/diff.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/testing/tensor_table.h"
#include "hash/hash_tree.h"
#include "hash/sha256.h"
#include "pack/testing/archives.h"

namespace weighbridge::pack {
namespace {

using base::kMiB;
using formats::testing::make_table;
using testing::bytes_of;

model::File file(std::string path, std::string_view content) {
  model::File made;
  made.path = std::move(path);
  made.size = content.size();
  made.sha256 = hash::Sha256::of(bytes_of(content));
  made.root = hash::hash_bytes(bytes_of(content));
  return made;
}

const FileChange& at(const Difference& difference, std::string_view path) {
  for (const FileChange& change : difference.files) {
    if (change.path == path) {
      return change;
    }
  }
  ADD_FAILURE() << path;
  return difference.files.front();
}

TEST(Compare, NamesWhatIsSameChangedAddedAndRemoved) {
  Comparable before;
  before.snapshot.files = {file("a", "1"), file("b", "22"), file("c", "333")};
  Comparable after;
  after.snapshot.files = {file("a", "1"), file("b", "xx"), file("d", "333")};
  const Difference difference = compare(before, after);
  ASSERT_EQ(difference.files.size(), 4U);
  EXPECT_EQ(at(difference, "a").change, Change::kSame);
  EXPECT_EQ(at(difference, "b").change, Change::kChanged);
  EXPECT_EQ(at(difference, "c").change, Change::kRemoved);
  EXPECT_EQ(at(difference, "d").change, Change::kAdded);
  EXPECT_EQ(at(difference, "d").shared_bytes, 3U) << "the same bytes under another name";
  EXPECT_EQ(difference.new_bytes, 6U);
  EXPECT_EQ(difference.shared_bytes, 4U);
  EXPECT_FALSE(difference.same());
  EXPECT_TRUE(compare(before, before).same());
}

TEST(Compare, CallsUnknownWhatHasNoDigestInCommon) {
  Comparable before;
  before.snapshot.files = {file("a", "1")};
  before.snapshot.files[0].root.reset();
  Comparable after;
  after.snapshot.files = {file("a", "1")};
  after.snapshot.files[0].sha256.reset();
  EXPECT_EQ(compare(before, after).files[0].change, Change::kUnknown);
}

TEST(Compare, SeesAChangedExecutableBit) {
  Comparable before;
  before.snapshot.files = {file("a", "1")};
  Comparable after = before;
  after.snapshot.files[0].executable = true;
  EXPECT_EQ(compare(before, after).files[0].change, Change::kChanged);
}

TEST(Compare, CountsPiecesAtTheSamePlaceAsShared) {
  Comparable before;
  before.snapshot.files = {file("a", "1")};
  before.snapshot.files[0].size = 3 * kMiB;
  before.snapshot.files[0].pieces.resize(3);
  Comparable after = before;
  after.snapshot.files[0].root = hash::hash_bytes(bytes_of("2"));
  after.snapshot.files[0].sha256 = hash::Sha256::of(bytes_of("2"));
  after.snapshot.files[0].pieces[1].bytes[0] = std::byte{1};
  EXPECT_EQ(compare(before, after).shared_bytes, 2 * kMiB);
}

// A side with one file of two tensors of 1 MiB, whose hints are given.
Comparable sealed(std::string_view path, std::byte first, std::byte second) {
  Comparable side;
  side.snapshot.files = {file(std::string(path), {reinterpret_cast<const char*>(&first), 1})};
  side.snapshot.files[0].size = 2 * kMiB;
  formats::SafetensorsTable table;
  table.tensors =
      make_table({{"x", model::Dtype::kU8, {kMiB}, kMiB}, {"y", model::Dtype::kU8, {kMiB}, kMiB}});
  side.tables[std::string(path)] = table;
  formats::TensorHint one{{0, kMiB}, {}};
  formats::TensorHint two{{kMiB, 2 * kMiB}, {}};
  one.hint.bytes[0] = first;
  two.hint.bytes[0] = second;
  side.hints[std::string(path)] = {one, two};
  return side;
}

TEST(Compare, FindsTensorsThatAreEqualByTheirHintsInOtherFiles) {
  const Difference difference =
      compare(sealed("m", std::byte{1}, std::byte{2}), sealed("n", std::byte{3}, std::byte{2}));
  ASSERT_EQ(difference.tensors.size(), 2U);
  EXPECT_EQ(difference.tensors[0].change, Change::kChanged);
  EXPECT_EQ(difference.tensors[1].change, Change::kSame);
  EXPECT_EQ(difference.shared_bytes, kMiB);
}

TEST(Compare, SaysOfTensorsWithoutHintsOnlyWhatTheirTablesSay) {
  Comparable before = sealed("m", std::byte{1}, std::byte{2});
  Comparable after = sealed("n", std::byte{3}, std::byte{2});
  before.hints.clear();
  after.tables["n"].tensors = make_table({{"x", model::Dtype::kU8, {kMiB}, kMiB},
                                          {"y", model::Dtype::kU8, {kMiB / 2, 2}, kMiB},
                                          {"z", model::Dtype::kU8, {}, 0}});
  const Difference difference = compare(before, after);
  ASSERT_EQ(difference.tensors.size(), 3U);
  EXPECT_EQ(difference.tensors[0].change, Change::kUnknown);
  EXPECT_EQ(difference.tensors[1].change, Change::kChanged);
  EXPECT_EQ(difference.tensors[2].change, Change::kAdded);
}

}  // namespace
}  // namespace weighbridge::pack
