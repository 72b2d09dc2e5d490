#include "transfer/stored_trees.h"

#include <utility>

#include "hash/hash_tree.h"

namespace weighbridge::transfer {

std::shared_ptr<const HashTree> StoredTrees::find(const model::File& file) {
  if (file.method() != model::Method::kSha256) {
    return nullptr;
  }
  auto found = proofs_.find_tree(*file.sha256);
  if (!found.ok() || !found->has_value() || (*found)->size != file.size) {
    return nullptr;
  }
  store::HashedFile hashed = std::move(**found);
  if (hashed.pieces.empty()) {
    hashed.pieces.push_back({hashed.root.bytes});  // its single piece
  }
  return std::make_shared<const HashTree>(HashTree{hashed.root, std::move(hashed.pieces)});
}

void StoredTrees::remember(const model::File& file, std::shared_ptr<const HashTree> tree) {
  if (file.method() != model::Method::kSha256) {
    return;
  }
  store::HashedFile hashed{file.size, tree->root, {}, file.sha256};
  if (hash::piece_count(file.size) > 1) {
    hashed.pieces = tree->pieces;
  }
  static_cast<void>(proofs_.remember_tree(hashed));  // it would only have saved time
}

}  // namespace weighbridge::transfer
