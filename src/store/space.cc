#include "store/space.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "store/adopted.h"
#include "store/files.h"
#include "store/refs.h"
#include "store/snapshots.h"
#include "store/stock.h"

namespace weighbridge::store {
namespace {

using base::Code;
using base::Error;
using base::Result;

// The disk counts in blocks, and a directory and a journal come with each file.
constexpr std::uint64_t kSpareBytes = 64 * base::kKiB;
// A journal takes less than this part of its file.
constexpr std::uint64_t kJournalPart = 16 * base::kKiB;
// The part of a quota that is freed beyond what is needed.
constexpr std::uint64_t kMorePart = 64;
constexpr std::string_view kUsedName = "used";
// A partial that nobody went on with for so long is nobody's.
constexpr std::chrono::hours kStalePartial{24 * 7};
// Who writes a file under a temporary name is at it for moments.
constexpr std::chrono::hours kStaleTemporary{1};
// A blob that no Ref names may belong to a pull that is not done yet.
constexpr std::chrono::hours kFreshBlob{1};

// The parts of the home that hold further names of blobs.
constexpr std::array<std::string_view, 3> kLinkDirectories = {"snapshots", "hub", "buckets"};

// The snapshot that a path below <home>/snapshots belongs to.
std::optional<hash::Root> snapshot_of(const Home& home, std::string_view path) {
  const std::string prefix = home.path() + "/snapshots/";
  if (!path.starts_with(prefix)) {
    return std::nullopt;
  }
  path.remove_prefix(prefix.size());
  return hash::Root::from_hex(path.substr(0, path.find('/')));
}

// How the line of `<home>/used` begins during this boot; empty where the kernel does not say which.
std::string used_line_begin(io::FileSystem& files) {
  constexpr std::size_t kIdBytes = 36;
  std::string id(kIdBytes, '\0');
  const auto file = files.open("/proc/sys/kernel/random/boot_id");
  if (!file.ok() || !read_exactly(**file, 0, std::as_writable_bytes(std::span(id))).ok()) {
    return {};
  }
  return fmt::format("weighbridge used 1 {} ", id);
}

// The time that lies `age` back, as files have it.
std::int64_t stale_since(const base::Call& call, std::chrono::hours age) {
  const auto then = call.clock().wall_now().time_since_epoch() - age;
  return std::chrono::duration_cast<std::chrono::nanoseconds>(then).count();
}

}  // namespace

Result<std::uint64_t> Space::used_bytes() const {
  std::uint64_t used = 0;
  for (const std::string_view directory : {"blobs", "partial"}) {
    TRY(each_file(home_.files(),
                  fmt::format("{}/{}", home_.path(), directory),
                  [&](const std::string&, const io::FileInfo& info) -> Result<void> {
                    used += info.disk_bytes;
                    return {};
                  }));
  }
  return used;
}

// `<home>/used`: no less than what is taken below blobs/ and partial/, so that who is admitted need
// not look at every file. Believed within one boot of the machine, as it is never synced; whoever
// takes space without minding it removes it.
std::optional<std::uint64_t> Space::read_used() const {
  constexpr std::uint64_t kMaxBytes = 256;
  const auto bytes =
      io::read_file(home_.files(), fmt::format("{}/{}", home_.path(), kUsedName), kMaxBytes);
  if (!bytes.ok()) {
    return std::nullopt;
  }
  const std::string text(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  const std::string begin = used_line_begin(home_.files());
  if (begin.empty() || !text.starts_with(begin) || !text.ends_with('\n')) {
    return std::nullopt;
  }
  return base::parse_decimal(
      std::string_view(text).substr(begin.size(), text.size() - begin.size() - 1));
}

Result<void> Space::write_used(std::optional<std::uint64_t> bytes) {
  const std::string path = fmt::format("{}/{}", home_.path(), kUsedName);
  const std::string begin = bytes ? used_line_begin(home_.files()) : "";
  if (begin.empty()) {
    return remove_if_there(home_.files(), path);
  }
  // Always of one length, so that a shorter number leaves nothing of a longer one.
  const std::string text = fmt::format("{}{:020}\n", begin, *bytes);
  auto file = home_.files().open_to_write(path, io::Caching::kKeep);
  if (!file.ok()) {
    file = home_.files().create(path);
  }
  const auto written = file.ok() ? (*file)->write_at(0, std::as_bytes(std::span(text)))
                                 : Result<void>(file.error().copy());
  // Nothing is lost with it but time.
  return written.ok() ? Result<void>() : remove_if_there(home_.files(), path);
}

Result<Space::Need> Space::need_for(std::uint64_t bytes) {
  const std::uint64_t free = TRY(home_.files().volume(home_.path())).free_bytes;
  const std::uint64_t wanted =
      base::checked_add(bytes, limits_.floor_bytes).value_or(~std::uint64_t{0});
  Need need{wanted > free ? wanted - free : 0, std::nullopt};
  if (!limits_.quota_bytes) {
    return need;
  }
  const auto over = [&](std::uint64_t used) {
    const std::uint64_t total = base::checked_add(bytes, used).value_or(~std::uint64_t{0});
    return total > *limits_.quota_bytes ? total - *limits_.quota_bytes : 0;
  };
  need.used = read_used();
  if (!need.used || over(*need.used) > 0) {
    need.used = TRY(used_bytes());
  }
  need.lacking = std::max(need.lacking, over(*need.used));
  return need;
}

// Evicts what must go, and a little more, so that the next newcomers need not look again. Returns
// how much came free.
Result<std::uint64_t> Space::make_room(const base::Call& call,
                                       std::uint64_t bytes,
                                       const Need& need) {
  const Evicted possible = TRY(evict(call, {.dry_run = true, .wanted_bytes = need.lacking}));
  if (possible.freed_bytes < need.lacking) {
    return Error(Code::kExhausted,
                 fmt::format("no room for {}: {} too little, and no more than {} could come free",
                             base::format_bytes(bytes),
                             base::format_bytes(need.lacking),
                             base::format_bytes(possible.freed_bytes)))
        .in_file(home_.path())
        .with_hint(
            "unpin or remove models, raise the quota, or set WEIGHBRIDGE_HOME to a larger disk");
  }
  const std::uint64_t more = limits_.quota_bytes.value_or(0) / kMorePart;
  const std::uint64_t wanted = base::checked_add(need.lacking, more).value_or(need.lacking);
  return TRY(evict(call, {.dry_run = false, .wanted_bytes = wanted})).freed_bytes;
}

Result<void> Space::admit(const base::Call& call,
                          std::uint64_t bytes,
                          const std::function<Result<void>()>& take) {
  const auto lock = TRY(home_.open_lock_file());
  TRY(wait_for_lock(call, *lock, io::Lock::kExclusive));
  const std::uint64_t spare = kSpareBytes + bytes / kJournalPart;
  const std::uint64_t all = base::checked_add(bytes, spare).value_or(bytes);
  Need need = TRY(need_for(all));
  if (need.lacking > 0) {
    const std::uint64_t freed = TRY(make_room(call, bytes, need));
    if (need.used) {
      need.used = *need.used - std::min(*need.used, freed);
    }
  }
  TRY(write_used(need.used ? base::checked_add(*need.used, all) : std::nullopt));
  return take();
}

Result<Evicted> Space::gc(const base::Call& call, const GcOptions& options) {
  const auto lock = TRY(home_.open_lock_file());
  TRY(wait_for_lock(call, *lock, io::Lock::kExclusive));
  Evicted evicted = TRY(evict(call, options));
  if (!options.dry_run) {
    evicted.leftovers = TRY(sweep_partials(call)) + TRY(sweep_snapshots()) +
                        TRY(sweep_temporaries(call, home_.path())) + TRY(sweep_seals(call));
  }
  return evicted;
}

Result<std::vector<Space::Candidate>> Space::candidates() const {
  std::vector<Candidate> found;
  TRY(each_file(
      home_.files(),
      home_.path() + "/blobs",
      [&](const std::string& path, const io::FileInfo& info) -> Result<void> {
        const auto root = hash::Root::from_hex(path.substr(path.rfind('/') + 1));
        if (root) {
          found.push_back({*root, info.inode, info.disk_bytes, info.links, info.atime_ns});
        }
        return {};
      }));
  std::ranges::sort(found, [](const Candidate& a, const Candidate& b) {
    return std::pair(a.used_ns, a.root) < std::pair(b.used_ns, b.root);
  });
  return found;
}

Result<Space::Names> Space::names() const {
  Names names;
  for (const std::string_view directory : kLinkDirectories) {
    TRY(each_file(home_.files(),
                  fmt::format("{}/{}", home_.path(), directory),
                  [&](const std::string& path, const io::FileInfo& info) -> Result<void> {
                    if (info.links > 1) {
                      names[info.inode].push_back(path);
                    }
                    return {};
                  }));
  }
  return names;
}

Result<Evicted> Space::evict(const base::Call& call, const GcOptions& options) {
  const Names names = TRY(this->names());
  const std::set<hash::Root> kept =
      TRY(options.unnamed_only ? named_blobs(home_) : pinned_blobs(home_, Refs(home_)));
  const std::int64_t fresh_ns = stale_since(call, kFreshBlob);
  Evicted evicted;
  for (const Candidate& blob : TRY(candidates())) {
    if (options.wanted_bytes && evicted.freed_bytes >= *options.wanted_bytes) {
      break;
    }
    TRY(call.check());
    const Evicted::Blob gone = describe(blob, names);
    const bool would_help = !options.wanted_bytes || gone.foreign_links == 0;
    const bool is_fresh = options.unnamed_only && blob.used_ns >= fresh_ns;
    if (!would_help || is_fresh || kept.contains(blob.root) ||
        !TRY(evict_one(blob, names, options.dry_run))) {
      ++evicted.passed_by;
      continue;
    }
    evicted.freed_bytes += gone.foreign_links == 0 ? gone.bytes : 0;
    evicted.blobs.push_back(gone);
  }
  return evicted;
}

Evicted::Blob Space::describe(const Candidate& blob, const Names& names) {
  const auto known = names.find(blob.inode);
  const std::uint64_t inside = 1 + (known == names.end() ? 0 : known->second.size());
  return {blob.root, blob.bytes, blob.links > inside ? blob.links - inside : 0};
}

Result<bool> Space::evict_one(const Candidate& blob, const Names& names, bool dry_run) {
  const std::string path = home_.blob(blob.root);
  const auto file = home_.files().open(path);
  if (!file.ok()) {
    return file.error().code() == Code::kNotFound ? Result<bool>(false) : file.error().copy();
  }
  if (!TRY((*file)->try_lock(io::Lock::kExclusive))) {
    return false;
  }
  if (dry_run) {
    return true;
  }
  TRY(remove_names(blob, names));
  TRY(home_.files().remove(path));
  TRY(remove_if_there(home_.files(), home_.tree(blob.root)));
  return true;
}

// A snapshot that loses a file is none any more: its list goes first.
Result<void> Space::remove_names(const Candidate& blob, const Names& names) {
  const auto known = names.find(blob.inode);
  if (known == names.end()) {
    return {};
  }
  for (const std::string& name : known->second) {
    if (const auto snapshot = snapshot_of(home_, name)) {
      TRY(remove_if_there(home_.files(), list_path(home_, *snapshot)));
    }
    TRY(remove_if_there(home_.files(), name));
  }
  return {};
}

Result<void> Space::quarantine(const base::Call& call, const hash::Root& root) {
  const auto lock = TRY(home_.open_lock_file());
  TRY(wait_for_lock(call, *lock, io::Lock::kExclusive));
  TRY(home_.make_directory("quarantine"));
  const std::string path = home_.blob(root);
  const io::FileInfo info = TRY(home_.files().info(path));
  TRY(remove_names({root, info.inode, info.disk_bytes, info.links, info.atime_ns}, TRY(names())));
  TRY(home_.files().rename(path, home_.in("quarantine", root.hex())));
  return home_.files().sync_directory(path.substr(0, path.rfind('/')));
}

Result<std::vector<hash::Root>> Space::all() const {
  std::vector<hash::Root> roots;
  for (const Candidate& blob : TRY(candidates())) {
    roots.push_back(blob.root);
  }
  return roots;
}

Result<Evicted> Space::remove(const base::Call& call, const std::vector<hash::Root>& roots) {
  const auto lock = TRY(home_.open_lock_file());
  TRY(wait_for_lock(call, *lock, io::Lock::kExclusive));
  const Names names = TRY(this->names());
  std::vector<Candidate> going;
  for (const hash::Root& root : roots) {
    const auto info = home_.files().info(home_.blob(root));
    if (info.ok()) {
      going.push_back({root, info->inode, info->disk_bytes, info->links, info->atime_ns});
    } else if (info.error().code() != Code::kNotFound) {
      return info.error().copy();
    }
  }
  for (const Candidate& blob : going) {
    if (!TRY(evict_one(blob, names, true))) {
      return Error(Code::kBusy, "it is in use").in_file(home_.blob(blob.root));
    }
  }
  Evicted evicted;
  for (const Candidate& blob : going) {
    if (!TRY(evict_one(blob, names, false))) {
      ++evicted.passed_by;  // somebody came meanwhile: gc takes it later
      continue;
    }
    evicted.blobs.push_back(describe(blob, names));
    evicted.freed_bytes += evicted.blobs.back().foreign_links == 0 ? blob.bytes : 0;
  }
  return evicted;
}

// Partials that nobody is at and nobody went on with for long.
Result<std::uint64_t> Space::sweep_partials(const base::Call& call) {
  const std::int64_t oldest = stale_since(call, kStalePartial);
  constexpr std::string_view kData = ".data";
  std::uint64_t swept = 0;
  const auto sweep = [&](const std::string& path, const io::FileInfo& info) -> Result<void> {
    const auto file = home_.files().open(path);
    const bool is_data = path.ends_with(kData);
    if (!is_data || info.mtime_ns >= oldest || !file.ok() ||
        !TRY((*file)->try_lock(io::Lock::kExclusive))) {
      return {};
    }
    ++swept;
    TRY(remove_if_there(home_.files(), path.substr(0, path.size() - kData.size()) + ".journal"));
    return home_.files().remove(path);
  };
  TRY(each_file(home_.files(), home_.path() + "/partial", sweep));
  return swept;
}

// What a kill left half written, wherever it stands.
Result<std::uint64_t> Space::sweep_temporaries(const base::Call& call,
                                               const std::string& directory) {
  const std::int64_t oldest = stale_since(call, kStaleTemporary);
  std::uint64_t swept = 0;
  for (const io::DirectoryEntry& entry : TRY(list_if_there(home_.files(), directory))) {
    const std::string path = directory + "/" + entry.name;
    if (entry.kind == io::Kind::kDirectory) {
      swept += TRY(sweep_temporaries(call, path));
    } else if (entry.kind == io::Kind::kFile && entry.name.starts_with(io::kTemporaryPrefix)) {
      const auto info = home_.files().info(path);
      if (info.ok() && info->mtime_ns < oldest) {
        TRY(remove_if_there(home_.files(), path));
        ++swept;
      }
    }
  }
  return swept;
}

// Seals that nothing names any more.
Result<std::uint64_t> Space::sweep_seals(const base::Call& call) {
  std::set<std::string> named;
  for (const StoredRef& ref : TRY(Refs(home_).all())) {
    named.insert(ref.record.seal_sha256 ? ref.record.seal_sha256->hex() : "");
  }
  for (const AdoptedDirectory& adopted : TRY(Adopted(home_).all())) {
    named.insert(adopted.seal_sha256.hex());
  }
  const std::int64_t oldest = stale_since(call, kFreshBlob);
  std::uint64_t swept = 0;
  const auto sweep = [&](const std::string& path, const io::FileInfo& info) -> Result<void> {
    if (named.contains(path.substr(path.rfind('/') + 1)) || info.mtime_ns >= oldest) {
      return {};
    }
    ++swept;
    return remove_if_there(home_.files(), path);
  };
  TRY(each_file(home_.files(), home_.path() + "/seals", sweep));
  return swept;
}

// Snapshot directories without a list: whoever made them is dead, as the lock is ours.
Result<std::uint64_t> Space::sweep_snapshots() {
  std::uint64_t swept = 0;
  const std::string directory = home_.path() + "/snapshots";
  for (const io::DirectoryEntry& entry : TRY(list_if_there(home_.files(), directory))) {
    const auto content_id = hash::Root::from_hex(entry.name);
    const bool is_directory = entry.kind == io::Kind::kDirectory && content_id;
    if (is_directory && !home_.files().info(list_path(home_, *content_id)).ok()) {
      TRY(remove_tree(home_.files(), home_.in("snapshots", entry.name)));
      ++swept;
    }
  }
  return swept;
}

}  // namespace weighbridge::store
