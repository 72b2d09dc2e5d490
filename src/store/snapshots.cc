#include "store/snapshots.h"

#include <algorithm>
#include <random>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/text.h"
#include "base/units.h"
#include "hash/hash_tree.h"
#include "store/files.h"
#include "store/refs.h"
#include "store/stock.h"

namespace weighbridge::store {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr std::string_view kListEnd = ".list";
constexpr std::size_t kSyncVolumeFrom = 16;

std::string record_of(const model::File& file) {
  return fmt::format(
      "{} {} {} {}", file.root->hex(), file.size, file.executable ? 'x' : '-', file.path);
}

// "<root> <size> <x or -> <path>"
std::optional<SnapshotFile> parse_record(std::string_view record) {
  constexpr std::size_t kHexDigits = 64;
  SnapshotFile file;
  const auto root = hash::Root::from_hex(record.substr(0, kHexDigits));
  const std::size_t size_end = record.find(' ', std::min(record.size(), kHexDigits + 1));
  if (!root || record[kHexDigits] != ' ' || size_end == std::string_view::npos) {
    return std::nullopt;
  }
  const auto size = base::parse_decimal(record.substr(kHexDigits + 1, size_end - kHexDigits - 1));
  const std::string_view rest = record.substr(size_end + 1);
  const bool has_flag = rest.starts_with("x ") || rest.starts_with("- ");
  if (!size || !has_flag || !model::is_snapshot_path(rest.substr(2))) {
    return std::nullopt;
  }
  file.root = *root;
  file.size = *size;
  file.executable = rest.front() == 'x';
  file.path = rest.substr(2);
  return file;
}

// Every directory that `path` lies in, below the snapshot's own, outermost first.
std::vector<std::string> parents_of(std::string_view path) {
  std::vector<std::string> parents;
  for (std::size_t slash = path.find('/'); slash != std::string_view::npos;
       slash = path.find('/', slash + 1)) {
    parents.emplace_back(path.substr(0, slash));
  }
  return parents;
}

std::string temporary_beside(const std::string& path) {
  std::random_device random;
  const std::string directory = path.substr(0, path.rfind('/') + 1);
  return fmt::format("{}{}{:08x}{:08x}", directory, io::kTemporaryPrefix, random(), random());
}

Result<void> make_if_absent(io::FileSystem& files, const std::string& path) {
  auto made = files.make_directory(path);
  return made.ok() || made.error().code() == Code::kExists ? Result<void>() : std::move(made);
}

}  // namespace

Result<std::vector<SnapshotFile>> parse_list(std::span<const std::byte> bytes,
                                             const hash::Root& content_id) {
  if (hash::hash_bytes(bytes) != content_id) {
    return Error(Code::kCorrupt, "the list of a snapshot is not what its name says");
  }
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::vector<SnapshotFile> files;
  while (!text.empty()) {
    const std::size_t end = text.find('\0');
    auto file = end == std::string_view::npos ? std::nullopt : parse_record(text.substr(0, end));
    if (!file) {
      return Error(Code::kCorrupt, "a record of a snapshot's list is malformed");
    }
    files.push_back(*std::move(file));
    text.remove_prefix(end + 1);
  }
  return files;
}

std::string list_path(const Home& home, const hash::Root& content_id) {
  return home.in("snapshots", content_id.hex() + std::string(kListEnd));
}

Result<std::vector<SnapshotFile>> read_list(const Home& home, const hash::Root& content_id) {
  const std::string path = list_path(home, content_id);
  const auto bytes = TRY(io::read_file(home.files(), path, kMaxListBytes));
  auto files = parse_list(bytes, content_id);
  return files.ok() ? std::move(files) : std::move(files).error().in_file(path);
}

Result<std::set<hash::Root>> pinned_blobs(const Home& home, const Refs& refs) {
  std::set<hash::Root> roots;
  const auto add = [&](const std::vector<SnapshotFile>& files) {
    for (const SnapshotFile& file : files) {
      roots.insert(file.root);
    }
  };
  for (const hash::Root& content_id : TRY(pinned_snapshots(home))) {
    if (const auto list = read_list(home, content_id); list.ok()) {
      add(*list);
      continue;
    }
    // Damaged or gone: the seal of a Ref that stands for it says the same.
    for (const StoredRef& ref : TRY(refs.all())) {
      if (ref.record.content_id == content_id) {
        add(TRY(files_of(home, ref.record)).value_or(std::vector<SnapshotFile>()));
      }
    }
  }
  return roots;
}

std::string Snapshots::directory(const hash::Root& content_id) const {
  return home_.in("snapshots", content_id.hex());
}

Result<std::string> Snapshots::make(const base::Call& call, std::span<const model::File> files) {
  const auto content_id = model::content_id(files);
  if (!content_id) {
    return Error(Code::kInvalid, "a snapshot directory needs the root of every file");
  }
  const auto lock = TRY(home_.open_lock_file());
  TRY(wait_for_lock(call, *lock, io::Lock::kShared));
  std::string directory = this->directory(*content_id);
  TRY(home_.make_directory("snapshots/" + content_id->hex()));
  std::set<std::string> directories = {directory};
  std::string list;
  for (const model::File& file : files) {
    for (const std::string& parent : parents_of(file.path)) {
      if (directories.insert(directory + "/" + parent).second) {
        TRY(make_if_absent(home_.files(), directory + "/" + parent));
      }
    }
    TRY(put(call, directory + "/" + file.path, file));
    list += record_of(file);
    list += '\0';
  }
  if (directories.size() >= kSyncVolumeFrom) {
    TRY(home_.files().sync_volume(directory));
  } else {
    for (const std::string& one : directories) {
      TRY(home_.files().sync_directory(one));
    }
  }
  TRY(io::write_file_atomically(
      home_.files(), list_path(home_, *content_id), std::as_bytes(std::span(list))));
  return directory;
}

Result<void> Snapshots::put(const base::Call& call,
                            const std::string& path,
                            const model::File& file) {
  const BlobFile blob = TRY(blobs_.open(call, *file.root));
  if (!file.executable) {
    if (TRY(stands(path, blob))) {
      return {};
    }
    const auto linked = home_.files().link(home_.blob(*file.root), path);
    if (linked.ok() || linked.error().code() == Code::kExhausted) {
      return linked.ok() ? Result<void>() : linked.error().copy();
    }
  }
  return replace(blob, path, file.executable);
}

// In one step, as others may make the same snapshot, and read it, at the same time.
Result<void> Snapshots::replace(const BlobFile& blob, const std::string& path, bool executable) {
  const std::string temporary = temporary_beside(path);
  auto made = executable ? copy(blob, temporary, true)
                         : home_.files().link(home_.blob(blob.root()), temporary);
  // Too many links, or a blob of another user's: a copy serves as well.
  if (!executable && !made.ok() && made.error().code() != Code::kExhausted) {
    made = copy(blob, temporary, false);
  }
  if (made.ok()) {
    made = home_.files().rename(temporary, path);
  }
  // It is still there after a failure, and where both were names of one file.
  const auto removed = remove_if_there(home_.files(), temporary);
  if (!made.ok()) {
    return made;
  }
  return removed.ok() ? Result<void>() : removed.error().copy();
}

Result<bool> Snapshots::stands(const std::string& path, const BlobFile& blob) const {
  const auto info = home_.files().info(path);
  if (!info.ok()) {
    return info.error().code() == Code::kNotFound ? Result<bool>(false) : info.error().copy();
  }
  return info->inode == TRY(blob.file().info()).inode;
}

Result<void> Snapshots::copy(const BlobFile& blob, const std::string& path, bool executable) {
  constexpr std::uint64_t kCopyBytes = 4 * base::kMiB;
  constexpr std::uint32_t kReadable = 0444;
  constexpr std::uint32_t kExecutable = 0555;
  const auto to = TRY(home_.files().create(path));
  std::vector<std::byte> buffer;
  const auto cloned = to->clone_range(blob.file(), {0, blob.size()}, 0);
  for (std::uint64_t at = cloned.ok() ? blob.size() : 0; at < blob.size();) {
    buffer.resize(std::min(blob.size() - at, kCopyBytes));
    TRY(read_exactly(blob.file(), at, buffer));
    TRY(to->write_at(at, buffer));
    at += buffer.size();
  }
  TRY(to->set_mode(executable ? kExecutable : kReadable));
  return to->sync();
}

Result<std::optional<std::vector<SnapshotFile>>> Snapshots::find(
    const hash::Root& content_id) const {
  using Files = std::vector<SnapshotFile>;
  auto files = read_list(home_, content_id);
  if (!files.ok()) {
    const Code code = files.error().code();
    const bool absent = code == Code::kNotFound || code == Code::kCorrupt;
    return absent ? Result<std::optional<Files>>(std::nullopt) : std::move(files).error();
  }
  for (const SnapshotFile& file : *files) {
    const auto info = home_.files().info(directory(content_id) + "/" + file.path);
    if (!info.ok() || info->size != file.size) {
      return std::optional<Files>();
    }
  }
  return std::optional(std::move(files).value());
}

Result<std::vector<hash::Root>> Snapshots::all() const {
  std::vector<hash::Root> found;
  const auto entries = home_.files().list(home_.path() + "/snapshots");
  if (!entries.ok()) {
    return entries.error().code() == Code::kNotFound ? Result<std::vector<hash::Root>>(found)
                                                     : entries.error().copy();
  }
  for (const io::DirectoryEntry& entry : *entries) {
    const std::string_view name = entry.name;
    if (name.ends_with(kListEnd)) {
      if (const auto id = hash::Root::from_hex(name.substr(0, name.size() - kListEnd.size()))) {
        found.push_back(*id);
      }
    }
  }
  std::ranges::sort(found);
  return found;
}

Result<void> Snapshots::remove(const base::Call& call, const hash::Root& content_id) {
  const auto lock = TRY(home_.open_lock_file());
  TRY(wait_for_lock(call, *lock, io::Lock::kExclusive));
  TRY(remove_if_there(home_.files(), list_path(home_, content_id)));
  TRY(remove_tree(home_.files(), directory(content_id)));
  const auto synced = home_.files().sync_directory(home_.path() + "/snapshots");
  const bool never_was = !synced.ok() && synced.error().code() == Code::kNotFound;
  return synced.ok() || never_was ? Result<void>() : synced.error().copy();
}

}  // namespace weighbridge::store
