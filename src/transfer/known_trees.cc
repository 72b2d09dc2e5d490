#include "transfer/known_trees.h"

#include <utility>

#include "hash/hash_tree.h"

namespace weighbridge::transfer {
namespace {

// So much of the memory may wait for the proof of one file.
constexpr std::uint64_t kShareOfOneFile = 4;

}  // namespace

std::optional<TreesInMemory::Name> TreesInMemory::name_of(const model::File& file) {
  switch (file.method()) {
    case model::Method::kRoot:
      return Name{true, {file.root->bytes}, file.size};
    case model::Method::kSha256:
      return Name{false, *file.sha256, file.size};
    case model::Method::kPieces:
    case model::Method::kNothing:
      break;
  }
  return std::nullopt;
}

std::shared_ptr<const HashTree> TreesInMemory::find(const model::File& file) {
  const auto name = name_of(file);
  if (!name) {
    return nullptr;
  }
  auto tree = kept_.with([&](const Kept& kept) -> std::shared_ptr<const HashTree> {
    const auto found = kept.trees.find(*name);
    return found == kept.trees.end() ? nullptr : found->second;
  });
  if (tree == nullptr && below_ != nullptr) {
    tree = below_->find(file);
    if (tree != nullptr) {
      keep(*name, tree);
    }
  }
  return tree;
}

void TreesInMemory::remember(const model::File& file, std::shared_ptr<const HashTree> tree) {
  const auto name = name_of(file);
  if (!name) {
    return;
  }
  if (below_ != nullptr) {
    below_->remember(file, tree);
  }
  keep(*name, std::move(tree));
}

void TreesInMemory::keep(const Name& name, std::shared_ptr<const HashTree> tree) {
  kept_.with([&](Kept& kept) {
    const std::size_t pieces = tree->pieces.size();
    if (pieces > kMaxPieces || !kept.trees.try_emplace(name, std::move(tree)).second) {
      return;
    }
    kept.by_age.push_back(name);
    for (kept.pieces += pieces; kept.pieces > kMaxPieces; kept.by_age.pop_front()) {
      const auto oldest = kept.trees.find(kept.by_age.front());
      kept.pieces -= oldest->second->pieces.size();
      kept.trees.erase(oldest);
    }
  });
}

bool is_read_twice(const model::File& file, std::uint64_t memory_bytes) {
  const model::Method method = file.method();
  const bool whole_only = method == model::Method::kRoot || method == model::Method::kSha256;
  return whole_only && hash::piece_count(file.size) > 1 &&
         file.size > memory_bytes / kShareOfOneFile;
}

}  // namespace weighbridge::transfer
