#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "hash/digest.h"
#include "model/snapshot.h"
#include "sync/guarded.h"

namespace weighbridge::transfer {

// The hash tree of a content that somebody named by another digest.
struct HashTree {
  hash::Root root;
  std::vector<hash::ChainingValue> pieces;  // merge to the root
};

// What was computed here of contents that only their SHA-256, or their root, named: the next read
// of the same content is proved piece by piece. Thread-safe.
class KnownTrees {
 public:
  KnownTrees() = default;
  KnownTrees(const KnownTrees&) = delete;
  KnownTrees& operator=(const KnownTrees&) = delete;
  virtual ~KnownTrees() = default;

  // The tree of the content that the file's digest names, or null.
  virtual std::shared_ptr<const HashTree> find(const model::File& file) = 0;

  // The digest that names the file's content and this tree were computed here, from the same bytes.
  virtual void remember(const model::File& file, std::shared_ptr<const HashTree> tree) = 0;
};

// Keeps trees of up to kMaxPieces pieces in all, the latest. Thread-safe.
class TreesInMemory final : public KnownTrees {
 public:
  static constexpr std::size_t kMaxPieces = 2 * 1024 * 1024;  // 2 TiB of files: 64 MiB

  // `below`: asked for what is not here, and told of what is remembered; outlives this. May be
  // null.
  explicit TreesInMemory(KnownTrees* below = nullptr) : below_(below) {}

  std::shared_ptr<const HashTree> find(const model::File& file) override;
  void remember(const model::File& file, std::shared_ptr<const HashTree> tree) override;

 private:
  struct Name {
    bool is_root = false;
    hash::Sha256Digest digest;
    std::uint64_t size = 0;

    friend auto operator<=>(const Name&, const Name&) = default;
  };

  struct Kept {
    std::map<Name, std::shared_ptr<const HashTree>> trees;
    std::deque<Name> by_age;  // the oldest first
    std::size_t pieces = 0;
  };

  // Nothing for a file that no digest names.
  static std::optional<Name> name_of(const model::File& file);
  void keep(const Name& name, std::shared_ptr<const HashTree> tree);

  KnownTrees* const below_;
  sync::Guarded<Kept> kept_;
};

// Is this a file that only its whole proves, and larger than can wait for that proof in a memory of
// `memory_bytes`? It is then read twice: for its tree, and again, proved by that piece by piece.
bool is_read_twice(const model::File& file, std::uint64_t memory_bytes);

}  // namespace weighbridge::transfer
