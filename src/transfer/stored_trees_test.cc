#include "transfer/stored_trees.h"

#include <memory>

#include <gtest/gtest.h>

#include "hash/hash_tree.h"
#include "hash/sha256.h"
#include "io/file_system.h"
#include "sources/testing/fake_source.h"
#include "testing/scratch_directory.h"

namespace weighbridge::transfer {
namespace {

using sources::testing::Bytes;
using sources::testing::random_bytes;
using sources::testing::sealed_file;

// The file as somebody names it who knows nothing but its SHA-256; its sealed form gives the tree.
model::File named_by_sha256(const Bytes& bytes) {
  model::File file;
  file.path = "model.safetensors";
  file.size = bytes.size();
  file.sha256 = hash::Sha256::of(bytes);
  file.trust = model::Trust::kOrigin;
  return file;
}

HashTree tree_of(const Bytes& bytes) {
  const model::File sealed = sealed_file("model.safetensors", bytes, model::Trust::kOrigin);
  auto pieces = sealed.pieces;
  if (pieces.empty()) {
    pieces.push_back({sealed.root->bytes});
  }
  return {*sealed.root, pieces};
}

class StoredTreesTest : public ::testing::TestWithParam<std::size_t> {
 protected:
  testing::ScratchDirectory home_;
  const std::unique_ptr<io::FileSystem> files_ = io::real_file_system();
};

TEST_P(StoredTreesTest, what_one_process_computed_another_finds) {
  const Bytes bytes = random_bytes(GetParam(), 7);
  const model::File file = named_by_sha256(bytes);
  {
    store::Proofs proofs(*files_, home_.path());
    StoredTrees(proofs).remember(file, std::make_shared<const HashTree>(tree_of(bytes)));
  }
  store::Proofs proofs(*files_, home_.path());
  StoredTrees trees(proofs);
  const auto found = trees.find(file);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->root, tree_of(bytes).root);
  EXPECT_EQ(found->pieces, tree_of(bytes).pieces);

  model::File other = file;
  other.size += 1;
  EXPECT_EQ(trees.find(other), nullptr) << "of another size";
  other = file;
  other.sha256->bytes[0] ^= std::byte{1};
  EXPECT_EQ(trees.find(other), nullptr) << "of another content";
}

INSTANTIATE_TEST_SUITE_P(Sizes,
                         StoredTreesTest,
                         ::testing::Values(0, 1000, hash::kPieceBytes, 3 * hash::kPieceBytes + 5));

TEST_F(StoredTreesTest, a_root_alone_is_neither_kept_nor_found) {
  const Bytes bytes = random_bytes(3 * hash::kPieceBytes, 7);
  model::File file = named_by_sha256(bytes);
  file.sha256.reset();
  file.root = tree_of(bytes).root;
  store::Proofs proofs(*files_, home_.path());
  StoredTrees trees(proofs);
  trees.remember(file, std::make_shared<const HashTree>(tree_of(bytes)));
  EXPECT_EQ(trees.find(file), nullptr);
}

TEST_F(StoredTreesTest, a_home_that_cannot_be_written_costs_only_the_memory) {
  const Bytes bytes = random_bytes(1000, 7);
  store::Proofs proofs(*files_, "/proc/no-such-home");
  StoredTrees trees(proofs);
  trees.remember(named_by_sha256(bytes), std::make_shared<const HashTree>(tree_of(bytes)));
  EXPECT_EQ(trees.find(named_by_sha256(bytes)), nullptr);
}

}  // namespace
}  // namespace weighbridge::transfer
