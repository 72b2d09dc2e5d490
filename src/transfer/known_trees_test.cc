#include "transfer/known_trees.h"

#include <gtest/gtest.h>

#include "base/units.h"

namespace weighbridge::transfer {
namespace {

model::File named_by_sha256(int which, std::uint64_t size) {
  model::File file;
  file.size = size;
  file.sha256.emplace();
  file.sha256->bytes[0] = static_cast<std::byte>(which);
  return file;
}

std::shared_ptr<const HashTree> tree_of(std::size_t pieces) {
  HashTree tree;
  tree.pieces.resize(pieces);
  return std::make_shared<const HashTree>(std::move(tree));
}

TEST(KnownTrees, a_tree_is_found_by_the_digest_and_the_size_that_name_its_content) {
  TreesInMemory trees;
  const auto tree = tree_of(3);
  trees.remember(named_by_sha256(1, 3 * base::kMiB), tree);
  EXPECT_EQ(trees.find(named_by_sha256(1, 3 * base::kMiB)), tree);
  EXPECT_EQ(trees.find(named_by_sha256(2, 3 * base::kMiB)), nullptr);
  EXPECT_EQ(trees.find(named_by_sha256(1, 4 * base::kMiB)), nullptr);
  EXPECT_EQ(trees.find(model::File()), nullptr) << "no digest names it";
}

TEST(KnownTrees, a_root_is_no_sha256) {
  TreesInMemory trees;
  trees.remember(named_by_sha256(1, 3 * base::kMiB), tree_of(3));
  model::File file;
  file.size = 3 * base::kMiB;
  file.root = hash::Root{named_by_sha256(1, 0).sha256->bytes};
  EXPECT_EQ(trees.find(file), nullptr);
}

TEST(KnownTrees, the_oldest_make_room) {
  TreesInMemory trees;
  for (int i = 0; i < 3; ++i) {
    trees.remember(named_by_sha256(i, 1), tree_of(TreesInMemory::kMaxPieces / 2));
  }
  EXPECT_EQ(trees.find(named_by_sha256(0, 1)), nullptr);
  EXPECT_NE(trees.find(named_by_sha256(1, 1)), nullptr);
  EXPECT_NE(trees.find(named_by_sha256(2, 1)), nullptr);
}

TEST(KnownTrees, what_is_not_in_memory_is_looked_for_below_and_told_to_it) {
  TreesInMemory below;
  TreesInMemory trees(&below);
  trees.remember(named_by_sha256(1, 1), tree_of(2));
  EXPECT_NE(below.find(named_by_sha256(1, 1)), nullptr);
  below.remember(named_by_sha256(2, 1), tree_of(2));
  EXPECT_NE(trees.find(named_by_sha256(2, 1)), nullptr);
}

TEST(KnownTrees, only_what_no_piece_proves_and_does_not_fit_is_read_twice) {
  model::File file = named_by_sha256(1, 100 * base::kMiB);
  EXPECT_TRUE(is_read_twice(file, 256 * base::kMiB));
  EXPECT_FALSE(is_read_twice(file, 400 * base::kMiB));
  file.root.emplace();
  file.pieces.resize(100);
  EXPECT_FALSE(is_read_twice(file, 256 * base::kMiB));
  EXPECT_FALSE(is_read_twice(named_by_sha256(1, base::kMiB), 1)) << "a single piece";
}

}  // namespace
}  // namespace weighbridge::transfer
