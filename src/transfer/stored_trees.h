#pragma once

#include <memory>

#include "model/snapshot.h"
#include "store/proofs.h"
#include "transfer/known_trees.h"

namespace weighbridge::transfer {

// The trees of contents known by their SHA-256, kept on disk between processes. A root that only
// names a content is not: its pieces would be looked up by what a seal already says.
// A disk that cannot be read or written costs this memory and nothing else. Thread-safe.
class StoredTrees final : public KnownTrees {
 public:
  // Borrows `proofs` for its life.
  explicit StoredTrees(store::Proofs& proofs) : proofs_(proofs) {}

  std::shared_ptr<const HashTree> find(const model::File& file) override;
  void remember(const model::File& file, std::shared_ptr<const HashTree> tree) override;

 private:
  store::Proofs& proofs_;
};

}  // namespace weighbridge::transfer
