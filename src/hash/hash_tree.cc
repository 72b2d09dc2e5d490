#include "hash/hash_tree.h"

#include <algorithm>
#include <cstring>
#include <vector>

extern "C" {
#include <blake3_impl.h>
}

#include "base/check.h"
#include "base/units.h"

// The tree. A file is cut into chunks of 1 KiB; each chunk is compressed, 64 bytes at a time, into
// a chaining value of 32 bytes, and its index enters the compression. Two neighbours make a parent,
// level by level; the last one of a level, where their number is odd, moves up as it is. That is
// BLAKE3's rule (the left subtree is the largest power of two) said from below. The last
// compression alone carries the flag ROOT, so a chaining value can never pass for a root.
//
// An aligned group of 1024 chunks is a whole subtree, because 1024 is a power of two: this is our
// piece, and why pieces may be hashed in any order and merged later.
//
// Speed comes from compressing 16 independent inputs side by side (blake3_hash_many), so the chunks
// of a piece leave their values in a row, and the parents are made from that row at the end, a
// level at a time: 1/16 of the work, and it too runs 16 wide.

namespace weighbridge::hash {
namespace {

constexpr std::size_t kValueBytes = 32;
constexpr std::size_t kWide = 16;  // the most that any CPU does at once

static_assert(kStrideBytes == kWide * kChunkBytes);
static_assert(MAX_SIMD_DEGREE <= kWide);

// The official code speaks of uint8_t, we of std::byte; both may alias anything.
const std::uint8_t* raw(const std::byte* bytes) {
  return reinterpret_cast<const std::uint8_t*>(bytes);
}

std::uint8_t* raw(std::byte* bytes) {
  return reinterpret_cast<std::uint8_t*>(bytes);
}

// The official code looks up the CPU's features on first use, in a variable without a lock. Doing
// it here once, before the first hash, keeps threads from racing there.
void settle_cpu_features() {
  static const std::size_t degree = blake3_simd_degree();
  WB_CHECK(degree <= kWide, "the BLAKE3 code is wider than our rows");
}

// Compresses one chunk of at most 1 KiB, block by block.
void hash_chunk(std::span<const std::byte> chunk,
                std::uint64_t index,
                std::uint8_t extra_flags,
                std::byte* value) {
  std::array<std::uint32_t, 8> state;
  std::copy(std::begin(IV), std::end(IV), state.begin());
  std::size_t at = 0;
  do {
    const std::size_t length = std::min<std::size_t>(BLAKE3_BLOCK_LEN, chunk.size() - at);
    std::array<std::uint8_t, BLAKE3_BLOCK_LEN> block{};
    std::copy_n(raw(chunk.data()) + at, length, block.begin());
    const bool last = at + length == chunk.size();
    unsigned flags = at == 0 ? CHUNK_START : 0;
    flags |= last ? unsigned{CHUNK_END} | extra_flags : 0;
    blake3_compress_in_place(state.data(),
                             block.data(),
                             static_cast<std::uint8_t>(length),
                             index,
                             static_cast<std::uint8_t>(flags));
    at += length;
  } while (at < chunk.size());
  store_cv_words(raw(value), state.data());
}

// Makes the parents of `count` values in place and moves an odd last one up; returns how many
// values the row has then. In place is safe: parent i is written where inputs before 2i stood.
std::size_t merge_level(std::byte* values, std::size_t count) {
  const std::size_t pairs = count / 2;
  std::array<const std::uint8_t*, kWide> inputs;
  for (std::size_t done = 0; done < pairs;) {
    const std::size_t many = std::min(kWide, pairs - done);
    for (std::size_t i = 0; i < many; ++i) {
      inputs[i] = raw(values + (done + i) * 2 * kValueBytes);
    }
    std::uint8_t* const out = raw(values + done * kValueBytes);
    blake3_hash_many(inputs.data(), many, 1, IV, 0, false, PARENT, 0, 0, out);
    done += many;
  }
  if (count % 2 == 1) {
    std::memcpy(values + pairs * kValueBytes, values + (count - 1) * kValueBytes, kValueBytes);
  }
  return pairs + count % 2;
}

ChainingValue merge_to_value(std::byte* values, std::size_t count) {
  while (count > 1) {
    count = merge_level(values, count);
  }
  ChainingValue value;
  std::copy_n(values, kValueBytes, value.bytes.begin());
  return value;
}

// Of two values or more.
Root merge_to_root(std::byte* values, std::size_t count) {
  while (count > 2) {
    count = merge_level(values, count);
  }
  std::array<std::uint32_t, 8> state;
  std::copy(std::begin(IV), std::end(IV), state.begin());
  blake3_compress_in_place(state.data(), raw(values), BLAKE3_BLOCK_LEN, 0, PARENT | ROOT);
  Root root;
  store_cv_words(raw(root.bytes.data()), state.data());
  return root;
}

}  // namespace

std::uint64_t piece_count(std::uint64_t file_bytes) {
  return std::max<std::uint64_t>(1, base::divide_up(file_bytes, kPieceBytes));
}

base::Range piece_range(std::uint64_t piece, std::uint64_t file_bytes) {
  WB_CHECK(piece < piece_count(file_bytes), "no such piece");
  const std::uint64_t begin = piece * kPieceBytes;
  return {begin, begin + std::min(kPieceBytes, file_bytes - begin)};
}

void PieceHasher::start(std::uint64_t piece) {
  settle_cpu_features();
  first_chunk_ = piece * kPieceChunks;
  chunks_ = 0;
  tail_bytes_ = 0;
}

void PieceHasher::update(std::span<const std::byte> bytes) {
  if (bytes.empty()) {
    return;
  }
  WB_CHECK(tail_bytes_ % kChunkBytes == 0, "only the last update of a piece may be odd");
  const std::size_t taken = chunks_ * kChunkBytes + tail_bytes_;
  WB_CHECK(bytes.size() <= kPieceBytes - taken, "a piece has at most 1 MiB");
  if (tail_bytes_ != 0) {
    hash_tail(0);
  }
  const std::size_t rest = bytes.size() % kChunkBytes;
  const bool may_be_all = chunks_ == 0 && bytes.size() == kChunkBytes;
  const std::size_t whole = may_be_all ? 0 : bytes.size() - rest;
  hash_chunks(bytes.first(whole));
  keep_tail(bytes.subspan(whole));
}

Root PieceHasher::finish_root() {
  if (chunks_ == 0) {
    hash_tail(ROOT);
    Root root;
    std::copy_n(values_.begin(), kValueBytes, root.bytes.begin());
    return root;
  }
  if (tail_bytes_ != 0) {
    hash_tail(0);
  }
  return merge_to_root(values_.data(), chunks_);
}

ChainingValue PieceHasher::finish_piece() {
  WB_CHECK(chunks_ != 0 || tail_bytes_ != 0, "only a file without bytes has an empty piece");
  if (tail_bytes_ != 0) {
    hash_tail(0);
  }
  return merge_to_value(values_.data(), chunks_);
}

void PieceHasher::hash_chunks(std::span<const std::byte> bytes) {
  std::array<const std::uint8_t*, kWide> inputs;
  while (!bytes.empty()) {
    const std::size_t many = std::min(kWide, bytes.size() / kChunkBytes);
    for (std::size_t i = 0; i < many; ++i) {
      inputs[i] = raw(bytes.data() + i * kChunkBytes);
    }
    blake3_hash_many(inputs.data(),
                     many,
                     kChunkBytes / BLAKE3_BLOCK_LEN,
                     IV,
                     first_chunk_ + chunks_,
                     true,
                     0,
                     CHUNK_START,
                     CHUNK_END,
                     raw(values_.data() + chunks_ * kValueBytes));
    chunks_ += many;
    bytes = bytes.subspan(many * kChunkBytes);
  }
}

void PieceHasher::keep_tail(std::span<const std::byte> bytes) {
  std::copy(bytes.begin(), bytes.end(), tail_.begin());
  tail_bytes_ = bytes.size();
}

void PieceHasher::hash_tail(std::uint8_t extra_flags) {
  hash_chunk(std::span(tail_).first(tail_bytes_),
             first_chunk_ + chunks_,
             extra_flags,
             values_.data() + chunks_ * kValueBytes);
  ++chunks_;
  tail_bytes_ = 0;
}

Root merge_pieces(std::span<const ChainingValue> pieces) {
  WB_CHECK(pieces.size() >= 2, "the root of a single piece is not a merged one");
  std::vector<std::byte> values;
  values.reserve(pieces.size() * kValueBytes);
  for (const ChainingValue& piece : pieces) {
    values.insert(values.end(), piece.bytes.begin(), piece.bytes.end());
  }
  settle_cpu_features();
  return merge_to_root(values.data(), pieces.size());
}

Root hash_bytes(std::span<const std::byte> bytes) {
  PieceHasher hasher;
  const std::uint64_t count = piece_count(bytes.size());
  if (count == 1) {
    hasher.start(0);
    hasher.update(bytes);
    return hasher.finish_root();
  }
  std::vector<ChainingValue> pieces;
  pieces.reserve(count);
  for (std::uint64_t piece = 0; piece < count; ++piece) {
    const base::Range range = piece_range(piece, bytes.size());
    hasher.start(piece);
    hasher.update(bytes.subspan(range.begin, range.size()));
    pieces.push_back(hasher.finish_piece());
  }
  return merge_pieces(pieces);
}

}  // namespace weighbridge::hash
