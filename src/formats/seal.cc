#include "formats/seal.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "formats/seal_rules.h"
#include "hash/hash_tree.h"
#include "hash/sha256.h"

// Writing and reading the bytes that docs/formats/seal.md describes. Both hold every file to
// check_sealed_file() and PathOrder, and the reader takes only the shortest varints and known
// flags, so that a text it accepts is the one the writer would give.
namespace weighbridge::formats {
namespace {

using base::Code;
using base::Error;
using base::Result;
using Bytes = std::span<const std::byte>;

constexpr std::array<unsigned char, 8> kMagic = {0x89, 'W', 'B', 'S', 'E', 'A', 'L', '\n'};
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kDigestBytes = 32;
constexpr std::size_t kHeadBytes = kMagic.size() + 4 + 4;
constexpr std::uint64_t kMaxPathBytes = 4096;
// The least a record can take: for bounding a count by the bytes that are left.
constexpr std::uint64_t kMinFileBytes = 1 + 1 + 1 + 1 + 32 + 32 + 1;
constexpr std::uint64_t kMinHintBytes = 1 + 3 + 16;
constexpr std::byte kExecutable{1};

std::uint64_t varint_bytes(std::uint64_t value) {
  std::uint64_t bytes = 1;
  for (; value >= 0x80; value >>= 7U) {
    ++bytes;
  }
  return bytes;
}

// Appends to a buffer whose capacity was reserved.
class Writer {
 public:
  explicit Writer(std::vector<std::byte>& out) : out_(out) {}

  void bytes(Bytes bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }

  void u32(std::uint32_t value) {
    for (unsigned shift = 0; shift < 32; shift += 8) {
      out_.push_back(static_cast<std::byte>(value >> shift));
    }
  }

  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7U) {
      out_.push_back(static_cast<std::byte>(value | 0x80U));
    }
    out_.push_back(static_cast<std::byte>(value));
  }

 private:
  std::vector<std::byte>& out_;  // the caller's
};

std::uint64_t encoded_bytes(const SealedFile& file) {
  std::uint64_t bytes = varint_bytes(file.path.size()) + file.path.size() + 1 +
                        varint_bytes(file.size) + 32 + 32 + 32 * file.pieces.size() +
                        varint_bytes(file.hints.size());
  std::uint64_t end = 0;
  for (const TensorHint& hint : file.hints) {
    bytes += varint_bytes(hint.bytes.begin - end) + varint_bytes(hint.bytes.size()) + 16;
    end = hint.bytes.end;
  }
  return bytes;
}

void write_file(Writer& out, const SealedFile& file) {
  out.varint(file.path.size());
  out.bytes(std::as_bytes(std::span(file.path)));
  out.bytes(std::array{file.executable ? kExecutable : std::byte{0}});
  out.varint(file.size);
  out.bytes(file.sha256.bytes);
  out.bytes(file.root.bytes);
  for (const hash::ChainingValue& piece : file.pieces) {
    out.bytes(piece.bytes);
  }
  out.varint(file.hints.size());
  std::uint64_t end = 0;
  for (const TensorHint& hint : file.hints) {
    out.varint(hint.bytes.begin - end);
    out.varint(hint.bytes.size());
    out.bytes(hint.hint.bytes);
    end = hint.bytes.end;
  }
}

Error corrupt(std::string message, std::uint64_t offset) {
  return Error(Code::kCorrupt, std::move(message)).at(offset);
}

// Takes a seal's bytes from the front; every take is bounded by what is left.
class Reader {
 public:
  explicit Reader(Bytes bytes) : bytes_(bytes) {}

  std::uint64_t offset() const { return offset_; }

  std::uint64_t left() const { return bytes_.size() - offset_; }

  Result<Bytes> take(std::uint64_t count) {
    if (count > left()) {
      return corrupt("the seal ends early", bytes_.size());
    }
    const Bytes taken = bytes_.subspan(offset_, count);
    offset_ += count;
    return taken;
  }

  template <typename Digest>
  Result<Digest> digest() {
    Digest digest;
    std::ranges::copy(TRY(take(digest.bytes.size())), digest.bytes.begin());
    return digest;
  }

  Result<std::uint32_t> u32() {
    std::uint32_t value = 0;
    unsigned shift = 0;
    for (const std::byte byte : TRY(take(4))) {
      value |= std::to_integer<std::uint32_t>(byte) << shift;
      shift += 8;
    }
    return value;
  }

  Result<std::uint64_t> varint() {
    const std::uint64_t begin = offset_;
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = std::to_integer<std::uint64_t>(TRY(take(1))[0]);
      const std::uint64_t bits = byte & 0x7FU;
      if ((bits << shift) >> shift != bits || (byte == 0 && shift != 0)) {
        break;
      }
      value |= bits << shift;
      if (byte < 0x80) {
        return value;
      }
    }
    return corrupt("a number in the seal is not in its shortest form", begin);
  }

  // A number of things that take at least `least` bytes each.
  Result<std::uint64_t> count_of(std::uint64_t count, std::uint64_t least, std::string_view what) {
    if (count > left() / least) {
      return corrupt(fmt::format("the seal promises {} {} and ends before", count, what), offset_);
    }
    return count;
  }

 private:
  Bytes bytes_;
  std::uint64_t offset_ = 0;
};

Result<std::string> read_path(Reader& in) {
  const std::uint64_t at = in.offset();
  const std::uint64_t length = TRY(in.varint());
  if (length > kMaxPathBytes) {
    return corrupt(fmt::format("a path in the seal has {} bytes", length), at);
  }
  const Bytes path = TRY(in.take(length));
  return std::string(reinterpret_cast<const char*>(path.data()), path.size());
}

Result<bool> read_flags(Reader& in) {
  const std::uint64_t at = in.offset();
  const std::byte flags = TRY(in.take(1))[0];
  if ((flags & ~kExecutable) != std::byte{0}) {
    return corrupt("a file in the seal has a flag we do not know", at);
  }
  return flags == kExecutable;
}

Result<std::vector<hash::ChainingValue>> read_pieces(Reader& in, std::uint64_t size) {
  if (size <= hash::kPieceBytes) {
    return std::vector<hash::ChainingValue>();
  }
  const std::uint64_t count =
      TRY(in.count_of(hash::piece_count(size), sizeof(hash::ChainingValue), "pieces"));
  std::vector<hash::ChainingValue> pieces(count);
  static_assert(sizeof(hash::ChainingValue) == 32);
  std::memcpy(pieces.data(), TRY(in.take(count * 32)).data(), count * 32);
  return pieces;
}

Result<std::vector<TensorHint>> read_hints(Reader& in) {
  const std::uint64_t count = TRY(in.count_of(TRY(in.varint()), kMinHintBytes, "hints"));
  std::vector<TensorHint> hints(count);
  std::uint64_t end = 0;
  for (TensorHint& hint : hints) {
    const std::uint64_t at = in.offset();
    const auto begin = base::checked_add(end, TRY(in.varint()));
    const auto length = TRY(in.varint());
    const auto hint_end = begin ? base::checked_add(*begin, length) : std::nullopt;
    if (!hint_end) {
      return corrupt("a hint in the seal ends past 2^64", at);
    }
    hint.bytes = {*begin, *hint_end};
    hint.hint = TRY(in.digest<hash::Hint>());
    end = *hint_end;
  }
  return hints;
}

Result<SealedFile> read_file(Reader& in) {
  SealedFile file;
  const std::uint64_t at = in.offset();
  file.path = TRY(read_path(in));
  file.executable = TRY(read_flags(in));
  file.size = TRY(in.varint());
  file.sha256 = TRY(in.digest<hash::Sha256Digest>());
  file.root = TRY(in.digest<hash::Root>());
  file.pieces = TRY(read_pieces(in, file.size));
  file.hints = TRY(read_hints(in));
  if (auto checked = check_sealed_file(file); !checked.ok()) {
    return std::move(checked).error().with_code(Code::kCorrupt).at(at);
  }
  return file;
}

// Magic, closing digest and version: is this a seal, did it come whole, can we read it? Leaves
// what stands between.
Result<Reader> open_seal(Bytes bytes) {
  if (bytes.size() > kMaxSealBytes) {
    return corrupt(fmt::format("a seal has at most {} bytes", kMaxSealBytes), kMaxSealBytes);
  }
  if (bytes.size() < kHeadBytes + kDigestBytes ||
      !std::ranges::equal(bytes.first(kMagic.size()), std::as_bytes(std::span(kMagic)))) {
    return corrupt("this is not a seal", 0);
  }
  const Bytes body = bytes.first(bytes.size() - kDigestBytes);
  const auto found = hash::Sha256::of(body);
  if (!std::ranges::equal(found.bytes, bytes.last(kDigestBytes))) {
    return corrupt(fmt::format("the seal was damaged on its way: it ends in SHA-256 {}, its bytes "
                               "have {}",
                               base::to_hex(bytes.last(kDigestBytes)),
                               found.hex()),
                   body.size());
  }
  Reader in(body);
  TRY(in.take(kMagic.size()));
  const std::uint32_t version = TRY(in.u32());
  if (version == 0) {
    return corrupt("the seal has version 0, which never was", kMagic.size());
  }
  if (version > kVersion) {
    return Error(Code::kUnsupported,
                 fmt::format(
                     "the seal has version {}; this program reads version {}", version, kVersion))
        .with_hint("Upgrade weighbridge to read this seal.");
  }
  return in;
}

}  // namespace

Result<std::vector<std::byte>> write_seal(const Seal& seal) {
  if (seal.files.size() > kMaxSealFiles) {
    return Error(Code::kInvalid, fmt::format("a seal holds at most {} files", kMaxSealFiles));
  }
  PathOrder order;
  std::uint64_t bytes = kHeadBytes + kDigestBytes;
  for (const SealedFile& file : seal.files) {
    TRY(check_sealed_file(file));
    TRY(order.next(file.path));
    bytes += encoded_bytes(file);
  }
  if (bytes > kMaxSealBytes) {
    return Error(Code::kInvalid,
                 fmt::format("the seal would have {} bytes, more than {}", bytes, kMaxSealBytes));
  }
  std::vector<std::byte> text;
  text.reserve(bytes);
  Writer out(text);
  out.bytes(std::as_bytes(std::span(kMagic)));
  out.u32(kVersion);
  out.u32(static_cast<std::uint32_t>(seal.files.size()));
  for (const SealedFile& file : seal.files) {
    write_file(out, file);
  }
  out.bytes(hash::Sha256::of(text).bytes);
  return text;
}

Result<Seal> parse_seal(std::span<const std::byte> bytes) {
  Reader in = TRY(open_seal(bytes));
  const std::uint32_t promised = TRY(in.u32());
  if (promised > kMaxSealFiles) {
    return corrupt(fmt::format("the seal promises {} files, more than {}", promised, kMaxSealFiles),
                   in.offset());
  }
  Seal seal;
  seal.files.resize(TRY(in.count_of(promised, kMinFileBytes, "files")));
  PathOrder order;
  for (SealedFile& file : seal.files) {
    const std::uint64_t at = in.offset();
    file = TRY(read_file(in));
    if (auto ordered = order.next(file.path); !ordered.ok()) {
      return std::move(ordered).error().with_code(Code::kCorrupt).at(at);
    }
  }
  if (in.left() != 0) {
    return corrupt(fmt::format("{} bytes follow the last file of the seal", in.left()),
                   in.offset());
  }
  return seal;
}

model::Snapshot snapshot_of(Seal seal,
                            std::string origin,
                            hash::Sha256Digest seal_sha256,
                            model::Trust trust) {
  model::Snapshot snapshot;
  snapshot.origin = std::move(origin);
  snapshot.listed = true;
  snapshot.seal_sha256 = seal_sha256;
  snapshot.files.reserve(seal.files.size());
  for (SealedFile& sealed : seal.files) {
    model::File& file = snapshot.files.emplace_back();
    file.path = std::move(sealed.path);
    file.size = sealed.size;
    file.executable = sealed.executable;
    file.sha256 = sealed.sha256;
    file.root = sealed.root;
    file.pieces = std::move(sealed.pieces);
    file.trust = trust;
  }
  snapshot.content_id = model::content_id(snapshot.files);
  return snapshot;
}

bool is_sealable(std::string_view path) {
  const auto excluded = [](std::string_view part) {
    return part == ".git" || part == ".cache" || part.starts_with(".weighbridge");
  };
  return path != kSealName && std::ranges::none_of(base::split(path, '/'), excluded);
}

}  // namespace weighbridge::formats
