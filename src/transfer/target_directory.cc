// The order in which a directory changes:
//
// 1. New bytes go to partial files, and are proved there.
// 2. What is about to be published is written down, so that a later pull of another revision knows
//    those files for ours.
// 3. The data reach the disk. Then the earlier seal leaves the directory's root, durably: from here
//    on no seal calls a mix of two revisions whole.
// 4. Files get their names; what is no longer wanted goes.
// 5. The new seal gets its name, after all other names have reached the disk.

#include "transfer/target_directory.h"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "hash/hash_tree.h"
#include "hash/sha256.h"
#include "store/files.h"

namespace weighbridge::transfer {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr std::string_view kLockName = ".weighbridge-partial/lock";
constexpr std::string_view kOldSealName = ".weighbridge-partial/old.seal";
constexpr std::string_view kNewSealName = ".weighbridge-partial/new.seal";
constexpr std::string_view kNamesDirectory = ".weighbridge-partial/names";
constexpr std::string_view kPublishedPrefix = "published-";
constexpr std::string_view kRoot = ".";
// From so many files on, one sync of the file system is cheaper than one of each.
constexpr std::size_t kSyncVolumeFrom = 16;

std::string kept(std::string_view name) {
  return fmt::format("{}/{}", kPartialDirectory, name);
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string(kRoot) : path.substr(0, slash);
}

// Every directory that `path` lies in, outermost first.
std::vector<std::string> parents_of(std::string_view path) {
  std::vector<std::string> parents;
  for (std::size_t slash = path.find('/'); slash != std::string_view::npos;
       slash = path.find('/', slash + 1)) {
    parents.emplace_back(path.substr(0, slash));
  }
  return parents;
}

Error stands_there(const std::string& path, std::string_view what) {
  return Error(Code::kExists, fmt::format("{}: {}", base::printable(path), what))
      .in_file(base::printable(path))
      .with_hint("Nothing was changed. Move it away, or pull into another directory.");
}

Result<void> make_if_absent(io::FileSystem& files, const std::string& path) {
  auto made = files.make_directory(path);
  return made.ok() || made.error().code() == Code::kExists ? Result<void>() : std::move(made);
}

// Makes `path` and what it lies in, and says if all of that is other than anything before.
Result<bool> make_name(io::FileSystem& files, const std::string& path) {
  for (const std::string& parent : parents_of(path)) {
    TRY(make_if_absent(files, parent));
  }
  const auto made = files.create(path);
  if (!made.ok() && made.error().code() != Code::kExists) {
    return made.error().copy();
  }
  return made.ok();
}

// A file whose name is taken by one before it; null if there is none.
Result<const model::File*> first_twin(io::FileSystem& files, std::span<const model::File> wanted) {
  for (const model::File& file : wanted) {
    if (!TRY(make_name(files, fmt::format("{}/{}", kNamesDirectory, file.path)))) {
      return &file;
    }
  }
  return static_cast<const model::File*>(nullptr);
}

// Locks the file, or nothing if somebody has it or just took it away.
Result<std::unique_ptr<io::OpenFile>> try_lock(io::FileSystem& files) {
  const std::string path(kLockName);
  TRY(make_if_absent(files, std::string(kPartialDirectory)));
  auto file = files.open_to_write(path, io::Caching::kKeep);
  if (!file.ok() && file.error().code() == Code::kNotFound) {
    file = files.create(path);
  }
  auto lock = TRY(std::move(file));
  if (!TRY(lock->try_lock(io::Lock::kExclusive))) {
    return Error(Code::kBusy, "another pull writes into this directory")
        .with_hint("Wait until it has ended.");
  }
  const auto named = files.info(path);
  const bool is_it = named.ok() && named->inode == TRY(lock->info()).inode;
  return is_it ? std::move(lock) : nullptr;
}

}  // namespace

Result<std::unique_ptr<TargetDirectory>> TargetDirectory::open(io::FileSystem& files,
                                                               store::Proofs* proofs) {
  constexpr int kTries = 100;
  std::unique_ptr<io::OpenFile> lock;
  for (int tries = 0; lock == nullptr; ++tries) {
    auto locked = try_lock(files);
    // One that has just ended takes the lock file and its directory away.
    const bool is_gone = locked.ok() || locked.error().code() == Code::kNotFound ||
                         locked.error().code() == Code::kExists;
    if (!is_gone || tries == kTries) {
      return locked.ok() ? Error(Code::kBusy, "other pulls come and go in this directory")
                         : std::move(locked).error();
    }
    lock = locked.ok() ? std::move(locked).value() : nullptr;
  }
  std::unique_ptr<TargetDirectory> target(new TargetDirectory(files, proofs, std::move(lock)));
  TRY(target->read_seals());
  TRY(target->read_published());
  return target;
}

TargetDirectory::~TargetDirectory() {
  const auto entries = files_.list(std::string(kPartialDirectory));
  const bool keeps = !entries.ok() || std::ranges::any_of(*entries, [](const auto& entry) {
    return entry.name != "lock";
  });
  if (!keeps) {
    static_cast<void>(store::remove_if_there(files_, std::string(kLockName)));
    static_cast<void>(store::remove_if_there(files_, std::string(kPartialDirectory)));
  }
}

// The one in its place describes the directory; where there is none, the one that an interrupted
// pull took away.
Result<void> TargetDirectory::read_seals() {
  const auto standing = TRY(find(std::string(formats::kSealName)));
  const std::string path(standing ? formats::kSealName : kOldSealName);
  if (standing && standing->kind != io::Kind::kFile) {
    return stands_there(path, "no regular file stands in the place of the seal");
  }
  auto bytes = io::read_file(files_, path, formats::kMaxSealBytes);
  if (!bytes.ok() && bytes.error().code() == Code::kNotFound) {
    return {};
  }
  if (!bytes.ok()) {
    return std::move(bytes).error();
  }
  auto seal = formats::parse_seal(*bytes);
  if (!seal.ok() && standing) {
    return stands_there(path, "a seal that cannot be read: " + seal.error().message());
  }
  if (standing) {
    seal_ = std::move(bytes).value();
  }
  if (seal.ok()) {
    earlier_ = std::move(seal).value();
  }
  for (const formats::SealedFile& file : earlier_.files) {
    ours_[file.path].emplace(file.root, file.size);
  }
  return {};
}

// A damaged record says nothing: what it named is then not known for ours, and left alone.
Result<void> TargetDirectory::read_published() {
  for (const auto& entry : TRY(store::list_if_there(files_, std::string(kPartialDirectory)))) {
    if (!entry.name.starts_with(kPublishedPrefix)) {
      continue;
    }
    const auto bytes = TRY(io::read_file(files_, kept(entry.name), kMaxPublishedBytes));
    const auto files = parse_published(bytes);
    for (const PublishedFile& file : files.ok() ? *files : std::vector<PublishedFile>()) {
      ours_[file.path].emplace(file.root, file.size);
      published_.insert_or_assign(file.id.hex(), file);
    }
  }
  return {};
}

// Nothing if nothing stands there. Where a parent is no directory: kExists.
Result<std::optional<io::FileInfo>> TargetDirectory::find(const std::string& path) {
  for (const std::string& parent : parents_of(path)) {
    auto info = files_.info(parent);
    if (!info.ok() && info.error().code() == Code::kNotFound) {
      return std::optional<io::FileInfo>();
    }
    if (TRY(std::move(info)).kind != io::Kind::kDirectory) {
      return stands_there(parent, "no directory, and one is needed here");
    }
  }
  auto info = files_.info(path);
  if (!info.ok() && info.error().code() == Code::kNotFound) {
    return std::optional<io::FileInfo>();
  }
  return std::optional(TRY(std::move(info)));
}

bool TargetDirectory::may_be_ours(const std::string& path, std::uint64_t size) const {
  const auto known = ours_.find(path);
  return known != ours_.end() &&
         std::ranges::any_of(known->second, [&](const auto& one) { return one.second == size; });
}

bool TargetDirectory::is_ours(const std::string& path, const hash::Root& root) const {
  const auto known = ours_.find(path);
  return known != ours_.end() && known->second.contains(root);
}

Result<TargetDirectory::Standing> TargetDirectory::look_at(const base::Call& call,
                                                           const model::File& file,
                                                           const std::optional<hash::Root>& id) {
  constexpr std::string_view kDiffers =
      "it is there already, differs from what is to come, and no earlier pull has brought it";
  const auto info = TRY(find(file.path));
  if (!info) {
    return Standing();
  }
  if (info->kind != io::Kind::kFile) {
    return stands_there(file.path, "what stands there is no regular file");
  }
  Standing standing;
  standing.executable = info->executable;
  if (info->size != file.size && !may_be_ours(file.path, info->size)) {
    return stands_there(file.path, kDiffers);
  }
  const Hashed found = TRY(hash(call, file.path, !file.root && file.sha256));
  standing.root = found.root;
  if (file.root) {
    standing.is_there = found.root == *file.root;
  } else if (file.sha256) {
    standing.is_there = found.sha256 == *file.sha256;
  } else if (id) {
    const auto published = published_.find(id->hex());
    standing.is_there = published != published_.end() && published->second.root == found.root;
  }
  standing.is_ours = !standing.is_there && is_ours(file.path, found.root);
  if (!standing.is_there && !standing.is_ours) {
    return stands_there(file.path, kDiffers);
  }
  if (standing.is_ours) {
    looked_at_.insert(file.path);
  }
  return standing;
}

Result<TargetDirectory::Hashed> TargetDirectory::hash(const base::Call& call,
                                                      const std::string& path,
                                                      bool with_sha256) {
  const base::WallTime began = call.clock().wall_now();
  const auto file = TRY(files_.open(path));
  const io::FileInfo info = TRY(file->info());
  const bool can_know = proofs_ != nullptr && !file->is_remote() && file->tells_changes();
  if (can_know) {
    const auto known = proofs_->find(info);
    if (known.ok() && *known && (!with_sha256 || (*known)->sha256)) {
      return Hashed{(*known)->root, (*known)->sha256};
    }
  }
  store::HashedFile hashed{.size = info.size, .root = {}, .pieces = {}, .sha256 = {}};
  hash::Sha256 sha256;
  const auto hasher = std::make_unique<hash::PieceHasher>();
  std::vector<std::byte> buffer(std::min(info.size, hash::kPieceBytes));
  const std::uint64_t pieces = hash::piece_count(info.size);
  for (std::uint64_t piece = 0; piece < pieces; ++piece) {
    TRY(call.check());
    const base::Range range = hash::piece_range(piece, info.size);
    const auto bytes = std::span(buffer).first(range.size());
    TRY(store::read_exactly(*file, range.begin, bytes));
    hasher->start(piece);
    hasher->update(bytes);
    if (with_sha256) {
      sha256.update(bytes);
    }
    if (pieces == 1) {
      hashed.root = hasher->finish_root();
    } else {
      hashed.pieces.push_back(hasher->finish_piece());
    }
  }
  if (pieces > 1) {
    hashed.root = hash::merge_pieces(hashed.pieces);
  }
  if (with_sha256) {
    hashed.sha256 = sha256.finish();
  }
  const io::FileInfo after = TRY(file->info());
  if (can_know && after.ctime_ns == info.ctime_ns && after.size == info.size) {
    // A disk that cannot keep it costs another hash the next time.
    static_cast<void>(proofs_->remember(after, began, hashed));
  }
  return Hashed{hashed.root, hashed.sha256};
}

Result<bool> TargetDirectory::folds_names() {
  // The same letter in two cases, and in Unicode's composed and decomposed form.
  constexpr std::array<std::array<std::string_view, 2>, 2> kTwins = {
      {{"a", "A"}, {"\xC3\xA9", "e\xCC\x81"}}};
  for (const auto& [one, other] : kTwins) {
    const std::string directory(kNamesDirectory);
    TRY(make_name(files_, fmt::format("{}/{}", directory, one)));
    if (!TRY(make_name(files_, fmt::format("{}/{}", directory, other)))) {
      return true;
    }
  }
  return false;
}

// Which names are one is for the file system to say, so it is asked: by making them all.
Result<void> TargetDirectory::check_names(std::span<const model::File> files) {
  if (files.size() < 2) {
    return {};
  }
  const std::string directory(kNamesDirectory);
  TRY(store::remove_tree(files_, directory));
  TRY(files_.make_directory(directory));
  const bool folds = TRY(folds_names());
  TRY(store::remove_tree(files_, directory));
  if (!folds) {
    return {};
  }
  TRY(files_.make_directory(directory));
  const auto twin = TRY(first_twin(files_, files));
  TRY(store::remove_tree(files_, directory));
  if (twin == nullptr) {
    return {};
  }
  return Error(Code::kUnsupported,
               fmt::format("{}: on this file system another file of the model has the same name, "
                           "but for case or Unicode form",
                           base::printable(twin->path)))
      .in_file(base::printable(twin->path))
      .with_hint("Nothing was changed. Pull into a file system that tells the names apart.");
}

store::Partial::Place TargetDirectory::place_of(const hash::Root& id, bool resumable) const {
  return {.directory = std::string(kPartialDirectory), .id = id.hex(), .resumable = resumable};
}

Result<void> TargetDirectory::keep_only(const std::set<std::string>& ids) {
  for (const auto& entry : TRY(store::list_if_there(files_, std::string(kPartialDirectory)))) {
    const std::size_t dot = entry.name.rfind('.');
    const bool is_partial = entry.name.ends_with(".data") || entry.name.ends_with(".journal");
    if (is_partial && !ids.contains(entry.name.substr(0, dot))) {
      TRY(store::remove_if_there(files_, kept(entry.name)));
    }
  }
  return {};
}

Result<void> TargetDirectory::publish(std::span<const Complete> files) {
  TRY(sync(files));
  TRY(note(files));
  TRY(retire_seal());
  std::set<std::string> changed = {std::string(kPartialDirectory)};
  for (const Complete& one : files) {
    const model::File& file = one.partial.file();
    const auto info = TRY(find(file.path));
    const bool replaces = looked_at_.contains(file.path);
    if (info && (!replaces || info->kind != io::Kind::kFile)) {
      return Error(Code::kConflict,
                   base::printable(file.path) + ": something came to stand there meanwhile")
          .in_file(base::printable(file.path));
    }
    TRY(make_parents(file.path, changed));
    const std::string data = kept(one.id.hex() + ".data");
    TRY(one.partial.publish(file.path, TRY(files_.info(data)).mode));
    looked_at_.insert(file.path);
  }
  return sync_names(changed);
}

// With the mode that the file will have, which is so on the disk when it gets its name.
Result<void> TargetDirectory::sync(std::span<const Complete> files) {
  for (const Complete& one : files) {
    if (one.partial.file().executable) {
      const auto data = TRY(files_.open(kept(one.id.hex() + ".data")));
      const std::uint32_t mode = TRY(data->info()).mode;
      constexpr std::uint32_t kReadable = 0444;
      TRY(data->set_mode(mode | ((mode & kReadable) >> 2U)));
    }
  }
  if (files.size() < kSyncVolumeFrom) {
    for (const Complete& one : files) {
      TRY(one.partial.sync());
    }
    return {};
  }
  auto synced = files_.sync_volume(std::string(kRoot));
  if (!synced.ok()) {
    for (const Complete& one : files) {
      one.partial.discard();
    }
  }
  return synced;
}

Result<void> TargetDirectory::note(std::span<const Complete> files) {
  for (const Complete& one : files) {
    const model::File& file = one.partial.file();
    published_now_.push_back({one.id, one.root, file.size, file.path});
    ours_[file.path].emplace(one.root, file.size);
  }
  const auto bytes = write_published(published_now_);
  const std::string name = fmt::format("{}{}", kPublishedPrefix, published_now_.front().id.hex());
  return io::write_file_atomically(files_, kept(name), bytes);
}

Result<void> TargetDirectory::retire_seal() {
  if (!seal_) {
    return {};
  }
  TRY(files_.rename(std::string(formats::kSealName), std::string(kOldSealName)));
  seal_.reset();
  TRY(files_.sync_directory(std::string(kPartialDirectory)));
  return files_.sync_directory(std::string(kRoot));
}

Result<void> TargetDirectory::make_parents(const std::string& path,
                                           std::set<std::string>& changed) {
  changed.insert(parent_of(path));
  for (const std::string& parent : parents_of(path)) {
    if (made_.insert(parent).second) {
      TRY(make_if_absent(files_, parent));
      changed.insert(parent_of(parent));
    }
  }
  return {};
}

Result<void> TargetDirectory::sync_names(const std::set<std::string>& directories) {
  if (directories.size() >= kSyncVolumeFrom) {
    return files_.sync_volume(std::string(kRoot));
  }
  for (const std::string& directory : directories) {
    TRY(files_.sync_directory(directory));
  }
  return {};
}

Result<void> TargetDirectory::set_executable(const model::File& file) {
  constexpr std::uint32_t kReadable = 0444;
  constexpr std::uint32_t kExecutable = 0111;
  TRY(retire_seal());
  const auto open = TRY(files_.open(file.path));
  const std::uint32_t mode = TRY(open->info()).mode;
  TRY(open->set_mode(file.executable ? mode | ((mode & kReadable) >> 2U) : mode & ~kExecutable));
  return open->sync();
}

Result<bool> TargetDirectory::is_unchanged(const base::Call& call,
                                           const std::string& path,
                                           const io::FileInfo& info) {
  if (info.kind != io::Kind::kFile || !may_be_ours(path, info.size)) {
    return false;
  }
  return is_ours(path, TRY(hash(call, path, false)).root);
}

Result<TargetDirectory::Removed> TargetDirectory::remove_others(const base::Call& call,
                                                                const model::Snapshot& wanted) {
  Removed done;
  std::set<std::string, std::greater<>> parents;  // the innermost first
  for (const auto& [path, roots] : ours_) {
    if (wanted.find(path) != nullptr) {
      continue;
    }
    const auto info = find(path);
    const bool is_out_of_reach = !info.ok() && (info.error().code() == Code::kExists ||
                                                info.error().code() == Code::kDenied);
    if (!info.ok() && !is_out_of_reach) {
      return info.error().copy();
    }
    if (is_out_of_reach || !*info) {
      continue;  // it is not there, and somebody else's is in its place
    }
    if (!TRY(is_unchanged(call, path, **info))) {
      done.left.push_back(path);
      continue;
    }
    TRY(retire_seal());
    TRY(files_.remove(path));
    done.removed.push_back(path);
    for (std::string& parent : parents_of(path)) {
      parents.insert(std::move(parent));
    }
  }
  std::set<std::string> changed;
  for (const std::string& path : done.removed) {
    changed.insert(parent_of(path));
  }
  TRY(sync_names(changed));
  for (const std::string& parent : parents) {
    static_cast<void>(files_.remove(parent));  // where others are in it, it stays
  }
  return done;
}

Result<void> TargetDirectory::finish(std::span<const std::byte> seal) {
  const bool is_same = seal_ && std::ranges::equal(*seal_, seal);
  if (!is_same) {
    TRY(store::remove_if_there(files_, std::string(kNewSealName)));
    {
      const auto file = TRY(files_.create(std::string(kNewSealName)));
      TRY(file->write_at(0, seal));
      TRY(file->sync());
    }
    TRY(files_.rename(std::string(kNewSealName), std::string(formats::kSealName)));
    TRY(files_.sync_directory(std::string(kRoot)));
  }
  auto removed = store::remove_tree(files_, std::string(kPartialDirectory));
  // Somebody who waited for us may have begun in it.
  return !removed.ok() && removed.error().code() == Code::kExists ? Result<void>()
                                                                  : std::move(removed);
}

}  // namespace weighbridge::transfer
