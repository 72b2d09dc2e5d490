#include "store/blobs.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "hash/hash_tree.h"
#include "hash/sha256.h"
#include "store/files.h"

namespace weighbridge::store {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr std::uint32_t kBlobMode = 0444;
// From so many files on, one sync of the file system is cheaper than one of each.
constexpr std::size_t kSyncVolumeFrom = 16;
constexpr std::chrono::milliseconds kLookAgain{20};

std::int64_t wall_ns(const base::Call& call) {
  const auto since = call.clock().wall_now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
}

std::string check_of(std::string_view hex, std::string_view root) {
  constexpr std::size_t kDigits = 16;
  const std::string pair = fmt::format("{} {}", hex, root);
  return hash::hash_bytes(std::as_bytes(std::span(pair))).hex().substr(0, kDigits);
}

constexpr std::string_view kSeenPrefix = "seen-";

// Can a later fetch know that it is about the same bytes?
bool is_identified(const model::File& file) {
  return file.root || file.sha256 || file.validator != model::Validator();
}

// Who names the file, and which revision of it.
std::string seen_hex(const Blobs::Wanted& wanted) {
  const model::File& file = wanted.file;
  std::string text;
  for (const std::string_view part : {std::string_view(wanted.identity),
                                      std::string_view(file.path),
                                      std::string_view(file.validator.etag),
                                      std::string_view(file.validator.last_modified)}) {
    text += part;
    text += '\0';
  }
  text += fmt::format("{}", file.size);
  return hash::hash_bytes(std::as_bytes(std::span(text))).hex();
}

// What names the partial: the best digest there is.
std::string id_of(const Blobs::Wanted& wanted) {
  const model::File& file = wanted.file;
  if (file.root) {
    return file.root->hex();
  }
  return file.sha256 ? "sha256-" + file.sha256->hex() : std::string(kSeenPrefix) + seen_hex(wanted);
}

Error mismatch(const model::File& file,
               std::string_view kind,
               std::string_view expected,
               std::string_view found) {
  return Error(Code::kCorrupt,
               fmt::format("{} is not what was named ({} of the file): expected {}, found {}",
                           base::printable(file.path),
                           kind,
                           expected,
                           found))
      .in_file(base::printable(file.path));
}

Result<hash::Sha256Digest> sha256_of(
    const base::Call& call,
    std::uint64_t size,
    const std::function<Result<void>(std::uint64_t, std::span<std::byte>)>& read) {
  constexpr std::uint64_t kReadBytes = 4 * base::kMiB;
  std::vector<std::byte> buffer(std::min(size, kReadBytes));
  hash::Sha256 hasher;
  for (std::uint64_t at = 0; at < size;) {
    TRY(call.check());
    const auto bytes = std::span(buffer).first(std::min(size - at, kReadBytes));
    TRY(read(at, bytes));
    hasher.update(bytes);
    at += bytes.size();
  }
  return hasher.finish();
}

}  // namespace

Result<BlobFile> Blobs::open(const base::Call& call, const hash::Root& root) const {
  return lease(call, root);
}

Result<BlobFile> Blobs::open(const base::Call& call, const hash::Sha256Digest& sha256) const {
  return lease(call, TRY(root_noted("sha256", sha256.hex())));
}

Result<BlobFile> Blobs::lease(const base::Call& call, const hash::Root& root) const {
  const std::string path = home_.blob(root);
  auto file = TRY(home_.files().open(path));
  TRY(wait_for_lock(call, *file, io::Lock::kShared));
  const io::FileInfo info = TRY(file->info());
  // It may have been evicted between its opening and its locking.
  if (TRY(home_.files().info(path)).inode != info.inode) {
    return Error(Code::kNotFound, "the blob was evicted just now").in_file(path);
  }
  // Neither is for its owner alone to fail on: another user may only read.
  if (info.mode != kBlobMode) {
    static_cast<void>(file->set_mode(kBlobMode));
  }
  static_cast<void>(file->set_used(wall_ns(call)));
  return BlobFile(root, info.size, std::move(file));
}

Result<BlobFile> Blobs::find_noted(const base::Call& call, const Wanted& wanted) const {
  if (wanted.file.root) {
    return open(call, *wanted.file.root);
  }
  if (wanted.file.sha256) {
    return open(call, *wanted.file.sha256);
  }
  if (!is_identified(wanted.file)) {
    return Error(Code::kNotFound, "nothing says which bytes these are");
  }
  return lease(call, TRY(root_noted("seen", seen_hex(wanted))));
}

Result<std::optional<BlobFile>> Blobs::find(const base::Call& call, const Wanted& wanted) const {
  const model::File& file = wanted.file;
  auto found = find_noted(call, wanted);
  if (!found.ok()) {
    return found.error().code() == Code::kNotFound ? Result<std::optional<BlobFile>>(std::nullopt)
                                                   : std::move(found).error();
  }
  if (found->size() != file.size) {
    return Error(Code::kCorrupt,
                 fmt::format("{} is said to have {} bytes, and those with its digest are {}",
                             base::printable(file.path),
                             file.size,
                             found->size()))
        .in_file(base::printable(file.path));
  }
  return std::optional(std::move(found).value());
}

Result<Blobs::Begun> Blobs::begin(const base::Call& call, const Wanted& wanted) {
  for (;;) {
    if (auto begun = TRY(try_begin(call, wanted))) {
      return *std::move(begun);
    }
    TRY(call.check());
    call.clock().sleep_until(call.clock().now() + kLookAgain, call.stop());
  }
}

Result<std::optional<Blobs::Begun>> Blobs::try_begin(const base::Call& call, const Wanted& wanted) {
  if (auto blob = TRY(find(call, wanted))) {
    return std::optional(Begun{std::move(blob), nullptr});
  }
  TRY(home_.make_directory("partial"));
  const Partial::Place place{.directory = home_.path() + "/partial",
                             .id = id_of(wanted),
                             .caching = wanted.caching,
                             .checkpoint_bytes = checkpoint_bytes_,
                             .resumable = is_identified(wanted.file)};
  const auto admit = [&](std::uint64_t bytes, const Partial::Take& take) {
    return space_.admit(call, bytes, take);
  };
  auto partial = TRY(Partial::try_open(home_.files(), place, wanted.file, admit));
  if (partial == nullptr) {
    return std::optional<Begun>();
  }
  // It may have been finished between the two looks; what was begun then is not needed.
  if (auto blob = TRY(find(call, wanted))) {
    partial->discard();
    return std::optional(Begun{std::move(blob), nullptr});
  }
  return std::optional(Begun{std::nullopt, std::make_unique<BlobWriter>(std::move(partial))});
}

Result<std::vector<BlobFile>> Blobs::commit(const base::Call& call,
                                            std::vector<std::unique_ptr<BlobWriter>> writers) {
  const auto owned = std::move(writers);  // their locks end with this call
  std::vector<Finished> finished;
  for (const auto& writer : owned) {
    finished.push_back({writer.get(), TRY(check(call, *writer))});
  }
  for (const Finished& one : finished) {
    TRY(write_tree(one.root, one.writer->partial().values()));
  }
  TRY(sync(finished));
  for (const Finished& one : finished) {
    TRY(note_names(one));
    TRY(publish(one));
  }
  TRY(sync_names(finished));
  std::vector<BlobFile> blobs;
  for (const Finished& one : finished) {
    TRY(one.writer->partial().share());
    blobs.push_back(TRY(lease(call, one.root)));
  }
  return blobs;
}

// That it is what it must be; a SHA-256 that nobody computed yet is computed now.
Result<hash::Root> Blobs::check(const base::Call& call, BlobWriter& writer) const {
  Partial& partial = writer.partial();
  const model::File& file = partial.file();
  const auto root = partial.root();
  if (!root) {
    return Error(Code::kInvalid, "pieces are missing: " + base::printable(file.path));
  }
  if (file.root && *root != *file.root) {
    partial.discard();
    return mismatch(file, "BLAKE3", file.root->hex(), root->hex());
  }
  if (!file.root && file.sha256 && !writer.sha256()) {
    writer.computed(TRY(sha256_of(
        call, file.size, [&](std::uint64_t at, auto into) { return partial.read(at, into); })));
  }
  if (file.sha256 && writer.sha256() && *writer.sha256() != *file.sha256) {
    partial.discard();
    return mismatch(file, "SHA-256", file.sha256->hex(), writer.sha256()->hex());
  }
  return *root;
}

Result<void> Blobs::sync(std::span<const Finished> finished) const {
  if (finished.size() < kSyncVolumeFrom) {
    for (const Finished& one : finished) {
      TRY(one.writer->partial().sync());
    }
    return {};
  }
  auto synced = home_.files().sync_volume(home_.path());
  if (!synced.ok()) {
    for (const Finished& one : finished) {
      one.writer->partial().discard();
    }
  }
  return synced;
}

Result<void> Blobs::publish(const Finished& finished) const {
  const std::string hex = finished.root.hex();
  TRY(home_.make_directory(shard_directory("blobs", hex)));
  const std::string path = home_.blob(finished.root);
  Partial& partial = finished.writer->partial();
  // One that came another way (by SHA-256, from elsewhere) may be there, leased and linked.
  if (home_.files().info(path).ok()) {
    partial.discard();
  } else {
    TRY(partial.publish(path, kBlobMode));
  }
  return {};
}

Result<void> Blobs::sync_names(std::span<const Finished> finished) const {
  if (finished.size() >= kSyncVolumeFrom) {
    TRY(home_.files().sync_volume(home_.path()));
  } else {
    std::set<std::string> directories = {home_.path() + "/partial"};
    for (const Finished& one : finished) {
      directories.insert(home_.path() + "/" + shard_directory("blobs", one.root.hex()));
    }
    for (const std::string& directory : directories) {
      TRY(home_.files().sync_directory(directory));
    }
  }
  return {};
}

// Before the blob has its name: a blob that is known by no other name would not be found again
// after a kill between the two. What is noted is true with and without the blob.
Result<void> Blobs::note_names(const Finished& finished) const {
  if (finished.writer->sha256()) {
    TRY(note_root("sha256", finished.writer->sha256()->hex(), finished.root));
  }
  Partial& partial = finished.writer->partial();
  if (partial.id().starts_with(kSeenPrefix) && is_identified(partial.file())) {
    TRY(note_root("seen", partial.id().substr(kSeenPrefix.size()), finished.root));
  }
  return {};
}

Result<void> Blobs::write_tree(const hash::Root& root,
                               std::span<const hash::ChainingValue> values) const {
  if (values.size() < 2) {
    return {};
  }
  TRY(home_.make_directory(shard_directory("hashtrees", root.hex())));
  const std::string path = home_.tree(root);
  auto file = home_.files().create(path);
  if (!file.ok() && file.error().code() == Code::kExists) {
    const std::uint64_t size = values.size() * hash::kPieceBytes;
    if (TRY(tree(root, size))) {
      return {};
    }
    TRY(home_.files().remove(path));  // torn by a crash
    file = home_.files().create(path);
  }
  // Not synced by itself: it proves itself, and can be made again from the blob.
  return TRY(std::move(file))->write_at(0, std::as_bytes(values));
}

Result<std::optional<std::vector<hash::ChainingValue>>> Blobs::tree(const hash::Root& root,
                                                                    std::uint64_t size) const {
  using Values = std::vector<hash::ChainingValue>;
  const std::uint64_t pieces = hash::piece_count(size);
  if (pieces == 1) {
    return std::optional(Values{{root.bytes}});
  }
  const auto bytes =
      io::read_file(home_.files(), home_.tree(root), pieces * sizeof(hash::ChainingValue));
  if (!bytes.ok()) {
    const Code code = bytes.error().code();
    const bool is_absent = code == Code::kNotFound || code == Code::kExhausted;
    return is_absent ? Result<std::optional<Values>>(std::nullopt) : bytes.error().copy();
  }
  if (bytes->size() != pieces * sizeof(hash::ChainingValue)) {
    return std::optional<Values>();
  }
  Values values(pieces);
  std::ranges::copy(*bytes, std::as_writable_bytes(std::span(values)).begin());
  return hash::merge_pieces(values) == root ? std::optional(std::move(values)) : std::nullopt;
}

Result<hash::Root> Blobs::root_noted(const std::string& kind, const std::string& hex) const {
  constexpr std::uint64_t kMaxLineBytes = 256;
  constexpr std::size_t kHexDigits = 64;
  const std::string path = home_.in(shard_directory(kind, hex), hex);
  const auto bytes = TRY(io::read_file(home_.files(), path, kMaxLineBytes));
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::string root_hex = text.substr(0, kHexDigits);
  const auto root = hash::Root::from_hex(root_hex);
  if (!root || text != fmt::format("{} {}\n", root_hex, check_of(hex, root_hex))) {
    return Error(Code::kNotFound, "what says which blob this is is damaged").in_file(path);
  }
  return *root;
}

Result<void> Blobs::note_root(const std::string& kind,
                              const std::string& hex,
                              const hash::Root& root) const {
  const std::string directory = shard_directory(kind, hex);
  TRY(home_.make_directory(directory));
  const std::string text = fmt::format("{} {}\n", root.hex(), check_of(hex, root.hex()));
  return io::write_file_atomically(
      home_.files(), home_.in(directory, hex), std::as_bytes(std::span(text)));
}

Result<hash::Sha256Digest> Blobs::compute_sha256(const base::Call& call, const BlobFile& blob) {
  std::vector<hash::ChainingValue> values;
  hash::PieceHasher pieces;
  std::vector<std::byte> buffer(std::min(blob.size(), hash::kPieceBytes));
  hash::Sha256 hasher;
  const std::uint64_t count = hash::piece_count(blob.size());
  for (std::uint64_t piece = 0; piece < count; ++piece) {
    TRY(call.check());
    const base::Range range = hash::piece_range(piece, blob.size());
    const auto bytes = std::span(buffer).first(range.size());
    TRY(read_exactly(blob.file(), range.begin, bytes));
    hasher.update(bytes);
    pieces.start(piece);
    pieces.update(bytes);
    values.push_back(count == 1 ? hash::ChainingValue{pieces.finish_root().bytes}
                                : pieces.finish_piece());
  }
  if (const hash::Root found = root_of(values); found != blob.root()) {
    return Error(Code::kCorrupt,
                 fmt::format("a blob is not what it was (BLAKE3): expected {}, found {}",
                             blob.root().hex(),
                             found.hex()))
        .in_file(home_.blob(blob.root()))
        .with_hint("`weighbridge scrub` takes it away, and pulls it again.");
  }
  const auto sha256 = hasher.finish();
  TRY(note_root("sha256", sha256.hex(), blob.root()));
  return sha256;
}

}  // namespace weighbridge::store
