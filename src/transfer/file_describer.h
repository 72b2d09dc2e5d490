#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/call.h"
#include "base/range.h"
#include "base/result.h"
#include "formats/seal.h"
#include "hash/hash_tree.h"
#include "hash/hint.h"
#include "hash/sha256.h"
#include "model/snapshot.h"
#include "sources/source.h"

namespace weighbridge::transfer {

// What a seal says of a file, made in one pass as its bytes come in order, everything while they
// are in the cache: SHA-256, hash tree, hints. Confined to one thread.
class FileDescriber {
 public:
  // `hinted`: as hinted_tensors() gives them.
  FileDescriber(std::uint64_t file_bytes, std::vector<base::Range> hinted);

  // The next bytes, of any length, together at most the file's.
  void update(std::span<const std::byte> bytes);

  std::uint64_t bytes() const { return offset_; }

  bool complete() const { return offset_ == file_bytes_; }

  // After the last byte, once: fills in the digests and hints.
  void finish(formats::SealedFile& file);

 private:
  void hint(std::span<const std::byte> bytes);
  void hash_in_tree(std::span<const std::byte> bytes);
  // Of the piece that is being hashed, at most to its end.
  void hash_in_piece(std::span<const std::byte> bytes, bool ends);

  const std::uint64_t file_bytes_;
  const std::vector<base::Range> hinted_;
  std::uint64_t offset_ = 0;
  std::uint64_t piece_ = 0;
  std::size_t carried_ = 0;
  std::array<std::byte, hash::kStrideBytes> carry_;  // what is not worth a call of its own
  hash::PieceHasher hasher_;
  hash::Sha256 sha256_;
  hash::HintHasher hint_hasher_;
  std::vector<hash::ChainingValue> pieces_;
  std::vector<formats::TensorHint> hints_;
};

// The tensors of a file that carry a hint, in order; none if the file is not what its name says.
// Reads its header from the source, unproved: one that lies makes hints of no use, and no harm.
base::Result<std::vector<base::Range>> hinted_tensors(const base::Call& call,
                                                      sources::Source& source,
                                                      const model::File& file);

// Could a file of that name and size have any?
bool may_have_hints(const model::File& file);

}  // namespace weighbridge::transfer
