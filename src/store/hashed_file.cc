#include "store/hashed_file.h"

#include <algorithm>
#include <array>
#include <string>

#include <fmt/format.h>

#include "hash/hash_tree.h"
#include "hash/sha256.h"

// Writing and reading the bytes that docs/formats/proofs.md describes. The reader holds a record to
// check_hashed(), as the writer does, so that it accepts only what was written.
namespace weighbridge::store {
namespace {

using base::Code;
using base::Error;
using base::Result;
using Bytes = std::span<const std::byte>;
using Magic = std::array<unsigned char, 8>;

constexpr Magic kProofMagic = {0x89, 'W', 'B', 'P', 'R', 'O', 'F', '\n'};
constexpr Magic kTreeMagic = {0x89, 'W', 'B', 'T', 'R', 'E', 'E', '\n'};
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kHasSha256 = 1;
constexpr std::size_t kDigestBytes = 32;
// Everything but the pieces, with room to spare.
constexpr std::size_t kFixedBytes = 256;

std::uint64_t pieces_kept(std::uint64_t size) {
  const std::uint64_t count = hash::piece_count(size);
  return count > 1 ? count : 0;
}

Result<void> check_hashed(const HashedFile& hashed) {
  if (hashed.size > kMaxHashedBytes) {
    return Error(Code::kInvalid, fmt::format("a file of {} bytes is too large", hashed.size));
  }
  if (hashed.pieces.size() != pieces_kept(hashed.size)) {
    return Error(
        Code::kInvalid,
        fmt::format("{} pieces for a file of {} bytes", hashed.pieces.size(), hashed.size));
  }
  if (!hashed.pieces.empty() && hash::merge_pieces(hashed.pieces) != hashed.root) {
    return Error(Code::kInvalid, "the pieces do not merge to the root");
  }
  return {};
}

// Appends. Confined.
class Writer {
 public:
  explicit Writer(std::size_t capacity) { out_.reserve(capacity); }

  void bytes(Bytes bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }

  template <typename Number>
  void number(Number value) {
    for (std::size_t i = 0; i < sizeof(Number); ++i) {
      out_.push_back(static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * i)));
    }
  }

  void hashed(const HashedFile& hashed) {
    number(hashed.size);
    number(hashed.sha256 ? kHasSha256 : 0U);
    bytes(hashed.root.bytes);
    if (hashed.sha256) {
      bytes(hashed.sha256->bytes);
    }
    for (const hash::ChainingValue& piece : hashed.pieces) {
      bytes(piece.bytes);
    }
  }

  std::vector<std::byte> close() && {
    bytes(hash::Sha256::of(out_).bytes);
    return std::move(out_);
  }

 private:
  std::vector<std::byte> out_;
};

Error corrupt(const std::string& why) {
  return Error(Code::kCorrupt, "the record " + why);
}

// Takes from the front; every take is bounded by what is left. Confined.
class Reader {
 public:
  explicit Reader(Bytes bytes) : bytes_(bytes) {}

  Result<Bytes> take(std::uint64_t count) {
    if (count > bytes_.size()) {
      return corrupt("ends early");
    }
    const Bytes taken = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return taken;
  }

  template <typename Number>
  Result<Number> number() {
    std::uint64_t value = 0;
    unsigned shift = 0;
    for (const std::byte byte : TRY(take(sizeof(Number)))) {
      value |= std::to_integer<std::uint64_t>(byte) << shift;
      shift += 8;
    }
    return static_cast<Number>(value);
  }

  template <typename Digest>
  Result<Digest> digest() {
    Digest digest;
    std::ranges::copy(TRY(take(digest.bytes.size())), digest.bytes.begin());
    return digest;
  }

  // To the record's end.
  Result<HashedFile> hashed() {
    HashedFile hashed;
    hashed.size = TRY(number<std::uint64_t>());
    const auto flags = TRY(number<std::uint32_t>());
    if (flags > kHasSha256) {
      return corrupt("has unknown flags");
    }
    hashed.root = TRY(digest<hash::Root>());
    if (flags == kHasSha256) {
      hashed.sha256 = TRY(digest<hash::Sha256Digest>());
    }
    // Before a size from outside sizes anything.
    if (bytes_.size() % kDigestBytes != 0 ||
        bytes_.size() / kDigestBytes != pieces_kept(hashed.size)) {
      return corrupt("has another number of pieces than its size asks for");
    }
    hashed.pieces.reserve(bytes_.size() / kDigestBytes);
    while (!bytes_.empty()) {
      hashed.pieces.push_back(TRY(digest<hash::ChainingValue>()));
    }
    const auto checked = check_hashed(hashed);
    if (!checked.ok()) {
      return corrupt("contradicts itself: " + checked.error().message());
    }
    return hashed;
  }

 private:
  Bytes bytes_;
};

// What stands between the version and the closing digest.
Result<Reader> open_record(Bytes bytes, const Magic& magic) {
  if (bytes.size() < kDigestBytes) {
    return corrupt("ends early");
  }
  const Bytes covered = bytes.first(bytes.size() - kDigestBytes);
  if (!std::ranges::equal(bytes.last(kDigestBytes), hash::Sha256::of(covered).bytes)) {
    return corrupt("does not end in its own digest");
  }
  Reader reader(covered);
  if (!std::ranges::equal(TRY(reader.take(magic.size())), std::as_bytes(std::span(magic)))) {
    return corrupt("is of another kind");
  }
  if (TRY(reader.number<std::uint32_t>()) != kVersion) {
    return corrupt("is of another version");
  }
  return reader;
}

Writer begin_record(const Magic& magic, const HashedFile& hashed) {
  Writer out(kFixedBytes + hashed.pieces.size() * kDigestBytes);
  out.bytes(std::as_bytes(std::span(magic)));
  out.number(kVersion);
  return out;
}

}  // namespace

Result<std::vector<std::byte>> write_proof(const ProofRecord& record) {
  TRY(check_hashed(record.hashed));
  Writer out = begin_record(kProofMagic, record.hashed);
  out.number(record.device);
  out.number(record.inode);
  out.number(record.mtime_ns);
  out.number(record.ctime_ns);
  out.hashed(record.hashed);
  return std::move(out).close();
}

Result<std::vector<std::byte>> write_tree(const HashedFile& hashed) {
  TRY(check_hashed(hashed));
  if (!hashed.sha256) {
    return Error(Code::kInvalid, "a hash tree is kept by its SHA-256, and there is none");
  }
  Writer out = begin_record(kTreeMagic, hashed);
  out.hashed(hashed);
  return std::move(out).close();
}

Result<ProofRecord> parse_proof(Bytes bytes) {
  Reader reader = TRY(open_record(bytes, kProofMagic));
  ProofRecord record;
  record.device = TRY(reader.number<std::uint64_t>());
  record.inode = TRY(reader.number<std::uint64_t>());
  record.mtime_ns = TRY(reader.number<std::int64_t>());
  record.ctime_ns = TRY(reader.number<std::int64_t>());
  record.hashed = TRY(reader.hashed());
  return record;
}

Result<HashedFile> parse_tree(Bytes bytes) {
  Reader reader = TRY(open_record(bytes, kTreeMagic));
  HashedFile hashed = TRY(reader.hashed());
  if (!hashed.sha256) {
    return corrupt("has no SHA-256");
  }
  return hashed;
}

}  // namespace weighbridge::store
