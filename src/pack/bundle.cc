#include "pack/bundle.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "hash/hash_tree.h"
#include "hash/sha256.h"
#include "store/partial.h"
#include "store/snapshots.h"

namespace weighbridge::pack {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

constexpr std::uint64_t kBlockBytes = 512;
using Block = std::array<char, kBlockBytes>;

constexpr std::size_t kMaxNameBytes = 100;
constexpr std::uint64_t kMaxOctalSize = (std::uint64_t{1} << 33U) - 1;  // eleven digits
// Of a bundle that is read; more are committed together.
constexpr std::size_t kCommitFiles = 64;
constexpr std::size_t kMaxLeases = 256;

std::uint64_t padding_of(std::uint64_t bytes) {
  return (kBlockBytes - bytes % kBlockBytes) % kBlockBytes;
}

void put(Block& block, std::size_t at, std::string_view text) {
  std::memcpy(block.data() + at, text.data(), text.size());
}

Block header_of(std::string_view name, std::uint64_t size, bool executable, char type) {
  Block block{};
  put(block, 0, name);
  put(block, 100, executable ? "0000755" : "0000644");
  put(block, 108, "0000000");
  put(block, 116, "0000000");
  put(block, 124, fmt::format("{:011o}", size));
  put(block, 136, "00000000000");
  block[156] = type;
  put(block, 257, "ustar");
  put(block, 263, "00");
  put(block, 148, "        ");
  unsigned sum = 0;
  for (const char c : block) {
    sum += static_cast<unsigned char>(c);
  }
  put(block, 148, fmt::format("{:06o}", sum));
  block[154] = '\0';
  return block;
}

// "<length> <key>=<value>\n", where the length counts itself.
std::string pax_record(std::string_view key, std::string_view value) {
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t length = rest + fmt::formatted_size("{}", rest);
  length = rest + fmt::formatted_size("{}", length);
  return fmt::format("{} {}={}\n", length, key, value);
}

Result<void> write_block(const Block& block, const WriteBytes& write) {
  return write(std::as_bytes(std::span(block)));
}

Result<void> write_padding(std::uint64_t bytes, const WriteBytes& write) {
  const Block zeros{};
  return write(std::as_bytes(std::span(zeros)).first(padding_of(bytes)));
}

Result<void> write_header(const model::File& file, const WriteBytes& write) {
  std::string extension;
  if (file.path.size() > kMaxNameBytes) {
    extension += pax_record("path", file.path);
  }
  if (file.size > kMaxOctalSize) {
    extension += pax_record("size", fmt::format("{}", file.size));
  }
  if (!extension.empty()) {
    TRY(write_block(header_of("pax", extension.size(), false, 'x'), write));
    TRY(write(std::as_bytes(std::span(extension))));
    TRY(write_padding(extension.size(), write));
  }
  return write_block(header_of(std::string_view(file.path).substr(0, kMaxNameBytes),
                               file.size > kMaxOctalSize ? 0 : file.size,
                               file.executable,
                               '0'),
                     write);
}

// The value that a piece of this file must have.
hash::ChainingValue expected_of(const model::File& file, std::uint64_t piece) {
  return file.pieces.empty() ? hash::ChainingValue{file.root->bytes} : file.pieces[piece];
}

Error not_sealed(const model::File& file, std::uint64_t piece) {
  const base::Range range = hash::piece_range(piece, file.size);
  return Error(Code::kCorrupt,
               fmt::format("bytes {}-{} of {} are not what was sealed (BLAKE3 of the piece)",
                           range.begin,
                           range.end,
                           base::printable(file.path)))
      .in_file(base::printable(file.path))
      .at(range.begin);
}

Result<void> write_file(const Call& call,
                        store::Store& store,
                        const model::File& file,
                        const WriteBytes& write) {
  const store::BlobFile blob = TRY(store.blobs().open(call, *file.root));
  TRY(write_header(file, write));
  std::vector<std::byte> buffer(hash::kPieceBytes);
  for (std::uint64_t piece = 0; piece < hash::piece_count(file.size); ++piece) {
    TRY(call.check());
    const auto value = TRY(store::hash_piece(blob.file(), piece, file.size, buffer));
    if (value != expected_of(file, piece)) {
      return not_sealed(file, piece);
    }
    TRY(write(std::span(buffer).first(hash::piece_range(piece, file.size).size())));
  }
  return write_padding(file.size, write);
}

Result<formats::SealedFile> describe(const Call& call,
                                     store::Store& store,
                                     const store::SnapshotFile& file) {
  const store::BlobFile blob = TRY(store.blobs().open(call, file.root));
  formats::SealedFile sealed;
  sealed.path = file.path;
  sealed.size = file.size;
  sealed.executable = file.executable;
  sealed.root = file.root;
  sealed.sha256 = TRY(store.blobs().compute_sha256(call, blob));
  auto tree = TRY(store.blobs().tree(file.root, file.size));
  if (hash::piece_count(file.size) == 1) {
    return sealed;
  }
  std::vector<std::byte> buffer(hash::kPieceBytes);
  for (std::uint64_t piece = 0; !tree && piece < hash::piece_count(file.size); ++piece) {
    sealed.pieces.push_back(TRY(store::hash_piece(blob.file(), piece, file.size, buffer)));
  }
  if (tree) {
    sealed.pieces = *std::move(tree);
  }
  return sealed;
}

Error no_bundle() {
  return Error(Code::kCorrupt, "no bundle: it does not begin with weighbridge.seal")
      .with_hint("`weighbridge export` writes bundles.");
}

}  // namespace

Result<std::vector<std::byte>> seal_of_snapshot(
    const Call& call,
    store::Store& store,
    const hash::Root& content_id,
    const std::optional<hash::Sha256Digest>& seal_sha256) {
  if (seal_sha256) {
    auto bytes = store.refs().seal(*seal_sha256);
    auto seal = bytes.ok() ? formats::parse_seal(*bytes) : bytes.error().copy();
    if (seal.ok()) {
      const auto sealed =
          formats::snapshot_of(std::move(seal).value(), "", *seal_sha256, model::Trust::kOrigin);
      if (sealed.content_id == content_id) {
        return bytes;
      }
    }
  }
  formats::Seal seal;
  for (const store::SnapshotFile& file : TRY(store::read_list(store.home(), content_id))) {
    seal.files.push_back(TRY(describe(call, store, file)));
  }
  return formats::write_seal(seal);
}

Result<void> write_bundle(const Call& call,
                          store::Store& store,
                          std::span<const std::byte> seal,
                          const WriteBytes& write) {
  const model::Snapshot snapshot = formats::snapshot_of(
      TRY(formats::parse_seal(seal)), "", hash::Sha256::of(seal), model::Trust::kOrigin);
  TRY(write_block(header_of(formats::kSealName, seal.size(), false, '0'), write));
  TRY(write(seal));
  TRY(write_padding(seal.size(), write));
  for (const model::File& file : snapshot.files) {
    TRY(write_file(call, store, file, write));
  }
  TRY(write_block({}, write));
  return write_block({}, write);
}

Result<void> BundleReader::feed(std::span<const std::byte> bytes) {
  while (!tar_ && !bytes.empty()) {
    TRY(take_front(bytes));
  }
  return bytes.empty() ? Result<void>() : tar_->feed(bytes);
}

Result<void> BundleReader::take_front(std::span<const std::byte>& bytes) {
  const std::uint64_t until = front_bytes_ == 0 ? kBlockBytes : front_bytes_;
  const std::size_t taken = std::min<std::uint64_t>(bytes.size(), until - front_.size());
  front_.insert(front_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(taken));
  bytes = bytes.subspan(taken);
  if (front_.size() < until) {
    return {};
  }
  if (front_bytes_ != 0) {
    return open_seal();
  }
  constexpr std::size_t kSizeAt = 124;
  constexpr std::size_t kSizeDigits = 11;
  for (const std::byte digit : std::span(front_).subspan(kSizeAt, kSizeDigits)) {
    seal_bytes_ = seal_bytes_ * 8 + (std::to_integer<std::uint64_t>(digit) & 7U);
  }
  const Block expected = header_of(formats::kSealName, seal_bytes_, false, '0');
  if (seal_bytes_ > formats::kMaxSealBytes ||
      !std::ranges::equal(front_, std::as_bytes(std::span(expected)))) {
    return no_bundle();
  }
  front_bytes_ = kBlockBytes + seal_bytes_ + padding_of(seal_bytes_);
  return {};
}

Result<void> BundleReader::open_seal() {
  const auto seal = std::span(front_).subspan(kBlockBytes, seal_bytes_);
  seal_sha256_ = hash::Sha256::of(seal);
  if (demanded_ && *demanded_ != seal_sha256_) {
    return Error(Code::kCorrupt,
                 fmt::format("the seal of the bundle is not the pinned one (SHA-256): expected {}, "
                             "found {}",
                             demanded_->hex(),
                             seal_sha256_.hex()))
        .in_file(std::string(formats::kSealName));
  }
  auto parsed = formats::parse_seal(seal);
  if (!parsed.ok()) {
    return std::move(parsed).error().in_file(std::string(formats::kSealName));
  }
  snapshot_ =
      formats::snapshot_of(std::move(parsed).value(), "", seal_sha256_, model::Trust::kOrigin);
  const auto padding = std::span(front_).subspan(kBlockBytes + seal_bytes_);
  if (std::ranges::any_of(padding, [](std::byte byte) { return byte != std::byte{0}; })) {
    return Error(Code::kCorrupt, "the bundle is damaged behind its seal");
  }
  TRY(store_.refs().put_seal(seal));
  front_ = {};
  // The seal bounds every file, and begin() refuses what it does not list.
  TarReader::Options options;
  options.limit_bytes = std::numeric_limits<std::uint64_t>::max();
  tar_.emplace(std::move(options), paths_, static_cast<EntrySink&>(*this));
  return {};
}

Result<void> BundleReader::begin(const Entry& entry) {
  const model::File* const file = snapshot_.find(entry.path);
  if (file == nullptr || file->size != entry.size || file->executable != entry.executable) {
    return Error(Code::kCorrupt,
                 base::printable(entry.path) + (file == nullptr ? " is not in the bundle's seal"
                                                                : " is not as the seal lists it"))
        .in_file(base::printable(entry.path));
  }
  came_.insert(entry.path);
  file_ = file;
  next_piece_ = 0;
  // The same content twice would wait for ourselves.
  if (pending_.contains(*file->root) || complete_.size() >= kCommitFiles) {
    TRY(commit());
  }
  auto begun = TRY(store_.blobs().begin(call_, {*file, ""}));
  writer_ = std::move(begun.writer);
  if (begun.blob) {
    hold(*std::move(begun.blob));
    present_bytes_ += file->size;
  }
  return {};
}

Result<void> BundleReader::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::uint64_t whole = hash::piece_range(next_piece_, file_->size).size();
    const std::size_t taken = std::min<std::uint64_t>(bytes.size(), whole - piece_.size());
    piece_.insert(piece_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(taken));
    bytes = bytes.subspan(taken);
    if (piece_.size() == whole) {
      TRY(take_piece());
    }
  }
  return call_.check();
}

Result<void> BundleReader::take_piece() {
  const auto hasher = std::make_unique<hash::PieceHasher>();
  hasher->start(next_piece_);
  hasher->update(piece_);
  const hash::ChainingValue value = file_->pieces.empty()
                                        ? hash::ChainingValue{hasher->finish_root().bytes}
                                        : hasher->finish_piece();
  if (value != expected_of(*file_, next_piece_)) {
    return not_sealed(*file_, next_piece_);
  }
  if (writer_ != nullptr && !writer_->partial().has(next_piece_)) {
    TRY(writer_->partial().write(next_piece_, piece_, {&value, 1}));
  }
  ++next_piece_;
  piece_.clear();
  return {};
}

Result<void> BundleReader::end() {
  if (file_->size == 0) {
    TRY(take_piece());
  }
  if (writer_ != nullptr) {
    pending_.insert(*file_->root);
    complete_.push_back(std::move(writer_));
  }
  return {};
}

Result<void> BundleReader::commit() {
  pending_.clear();
  for (store::BlobFile& blob : TRY(store_.blobs().commit(call_, std::exchange(complete_, {})))) {
    hold(std::move(blob));
  }
  return {};
}

// A descriptor each: of more files the latest ones need no lease, as the oldest go first.
void BundleReader::hold(store::BlobFile blob) {
  if (leases_.size() < kMaxLeases) {
    leases_.push_back(std::move(blob));
  }
}

Result<Imported> BundleReader::finish() {
  if (!tar_) {
    return no_bundle();
  }
  TRY(tar_->finish());
  for (const model::File& file : snapshot_.files) {
    if (!came_.contains(file.path)) {
      return Error(Code::kCorrupt, "the bundle lacks " + base::printable(file.path))
          .in_file(base::printable(file.path));
    }
  }
  TRY(commit());
  Imported imported;
  imported.directory = TRY(store_.snapshots().make(call_, snapshot_.files));
  imported.content_id = *snapshot_.content_id;
  imported.seal_sha256 = seal_sha256_;
  imported.files = snapshot_.files.size();
  imported.present_bytes = present_bytes_;
  for (const model::File& file : snapshot_.files) {
    imported.bytes += file.size;
  }
  return imported;
}

}  // namespace weighbridge::pack
