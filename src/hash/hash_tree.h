#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/range.h"
#include "hash/digest.h"

namespace weighbridge::hash {

// A file's BLAKE3 tree kept at 1 MiB: a chaining value for each aligned 1 MiB piece, and the root
// they merge to, equal to the official hash of the whole file. A piece is proved alone, in any
// order, on any thread. (BLAKE3 paper, 2.4 and 5.1; see docs/formats/seal.md.)
inline constexpr std::uint64_t kPieceBytes = 1024 * 1024;
// A leaf of BLAKE3's own tree.
inline constexpr std::size_t kChunkBytes = 1024;
// Feeding a PieceHasher in multiples of this is fastest (16 chunks side by side).
inline constexpr std::size_t kStrideBytes = 16 * kChunkBytes;

// Pieces of a file of `file_bytes`: at least 1, the last may be short; an empty file has one.
std::uint64_t piece_count(std::uint64_t file_bytes);
// The bytes of one piece.
base::Range piece_range(std::uint64_t piece, std::uint64_t file_bytes);

// Hashes one piece as its bytes arrive. Holds 33 KiB; start() makes it ready for another piece.
// Confined to one thread.
class PieceHasher {
 public:
  // `piece`: its index in the file; it enters the hash.
  void start(std::uint64_t piece);
  // The next bytes. Every call but the piece's last takes a multiple of 1 KiB; together they are
  // at most kPieceBytes.
  void update(std::span<const std::byte> bytes);
  // Exactly one of these two ends a piece: the first for a file of one piece (its value is the
  // root), the second for every piece of a longer file.
  Root finish_root();
  ChainingValue finish_piece();

 private:
  static constexpr std::size_t kPieceChunks = kPieceBytes / kChunkBytes;

  // Hashes the chunks of `bytes`, a multiple of 1 KiB, side by side.
  void hash_chunks(std::span<const std::byte> bytes);
  void keep_tail(std::span<const std::byte> bytes);
  // Hashes the tail, a whole or a short chunk or the empty one, into the next place of values_.
  void hash_tail(std::uint8_t extra_flags);

  std::uint64_t first_chunk_ = 0;
  std::size_t chunks_ = 0;  // of which values_ holds the chaining value
  // The last chunk while it may be all there is, as only its bytes then give the root; and a short
  // last chunk.
  std::size_t tail_bytes_ = 0;
  std::array<std::byte, kChunkBytes> tail_;
  std::array<std::byte, kPieceChunks * 32> values_;
};

// The root of a file of two pieces or more, from the values of all of them in order.
Root merge_pieces(std::span<const ChainingValue> pieces);

// Of bytes in memory: for small things and tests. Multi-threaded callers hash pieces themselves.
Root hash_bytes(std::span<const std::byte> bytes);

}  // namespace weighbridge::hash
