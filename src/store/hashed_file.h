#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "hash/digest.h"
#include "io/file_system.h"

namespace weighbridge::store {

// What hashing a whole file on this machine gave. A value; Thread-compatible.
struct HashedFile {
  std::uint64_t size = 0;
  hash::Root root;
  std::vector<hash::ChainingValue> pieces;  // none for a file of one piece
  // Only where it was computed here, of the same bytes as the root.
  std::optional<hash::Sha256Digest> sha256;

  friend bool operator==(const HashedFile&, const HashedFile&) = default;
};

// A file larger than this is not remembered: 4 TiB, 128 MiB of chaining values.
inline constexpr std::uint64_t kMaxHashedBytes = 4ULL * 1024 * 1024 * 1024 * 1024;
// No record that is read is longer than this.
inline constexpr std::uint64_t kMaxRecordBytes = kMaxHashedBytes / (1024 * 1024) * 32 + 1024;

// One file of `<home>/proofs`: which file it was, and what hashing it gave.
// A value; Thread-compatible.
struct ProofRecord {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t mtime_ns = 0;
  std::int64_t ctime_ns = 0;
  HashedFile hashed;

  friend bool operator==(const ProofRecord&, const ProofRecord&) = default;
};

// The bytes of both kinds of record (docs/formats/proofs.md). One record, one text.
// kInvalid for values that contradict one another: pieces that are not as many as the size asks
// for, or that do not merge to the root.
base::Result<std::vector<std::byte>> write_proof(const ProofRecord& record);
base::Result<std::vector<std::byte>> write_tree(const HashedFile& hashed);
// kCorrupt for anything that write_proof() or write_tree() would not have written.
base::Result<ProofRecord> parse_proof(std::span<const std::byte> bytes);
base::Result<HashedFile> parse_tree(std::span<const std::byte> bytes);

}  // namespace weighbridge::store
