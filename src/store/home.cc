#include "store/home.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"

namespace weighbridge::store {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr std::string_view kFormatPrefix = "weighbridge store ";
constexpr std::uint64_t kMaxFormatBytes = 256;

std::string_view parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

Error elsewhere(Code code, std::string message, const std::string& path) {
  return Error(code, std::move(message))
      .in_file(path)
      .with_hint("set WEIGHBRIDGE_HOME to a directory on a local disk");
}

// Makes the directory with those above it.
Result<void> make_all(io::FileSystem& files, const std::string& path) {
  auto made = files.make_directory(path);
  if (made.ok() || made.error().code() == Code::kExists) {
    return {};
  }
  const std::string parent(parent_of(path));
  if (made.error().code() != Code::kNotFound || parent.empty()) {
    return made;
  }
  TRY(make_all(files, parent));
  return files.make_directory(path);
}

// The names of all directories that lead to `path`, outermost first: whoever made them may have
// died before they lasted.
Result<void> sync_way_to(io::FileSystem& files, const std::string& path) {
  for (std::size_t slash = path.find('/'); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    const auto synced = files.sync_directory(slash == 0 ? "/" : path.substr(0, slash));
    if (!synced.ok() && synced.error().code() != Code::kDenied) {
      return synced.error().copy();
    }
  }
  return {};
}

Result<void> check_version(std::string_view text, const std::string& path) {
  const bool is_ours = text.starts_with(kFormatPrefix) && text.ends_with('\n');
  const auto version = is_ours ? base::parse_decimal(text.substr(
                                     kFormatPrefix.size(), text.size() - kFormatPrefix.size() - 1))
                               : std::nullopt;
  if (!version) {
    return Error(Code::kCorrupt, "the file that says the version of the store is damaged")
        .in_file(path)
        .with_hint("if this is the store's directory, restore the line 'weighbridge store 1'");
  }
  if (*version != kLayoutVersion) {
    return Error(Code::kUnsupported,
                 fmt::format("the store in {} has layout version {}; this program knows version {}",
                             parent_of(path),
                             *version,
                             kLayoutVersion))
        .in_file(path)
        .with_hint("use the version of weighbridge that wrote it, or another WEIGHBRIDGE_HOME");
  }
  return {};
}

// What may have been written here before anybody needed a store: by Proofs, for the registries that
// were spoken to, and of uploads to them.
constexpr std::array<std::string_view, 6> kOfOthers = {
    "proofs", "hashtrees", "registries.json", "registries-learned.json", "uploads", "unpacking"};

// A directory without a version may be made a store only if nothing else is in it.
Result<void> begin_store(io::FileSystem& files, const std::string& path) {
  for (const io::DirectoryEntry& entry : TRY(files.list(path))) {
    if (!entry.name.starts_with(io::kTemporaryPrefix) &&
        std::ranges::find(kOfOthers, entry.name) == kOfOthers.end()) {
      if (files.info(path + "/format").ok()) {
        return {};  // another process has begun it meanwhile
      }
      return Error(Code::kInvalid,
                   fmt::format("{} is no store, and is not empty: it holds '{}'",
                               path,
                               base::printable(entry.name)))
          .in_file(path)
          .with_hint("set WEIGHBRIDGE_HOME to a directory of its own");
    }
  }
  TRY(sync_way_to(files, path));
  const std::string text = fmt::format("{}{}\n", kFormatPrefix, kLayoutVersion);
  return io::write_file_atomically(files, path + "/format", std::as_bytes(std::span(text)));
}

}  // namespace

Result<std::string> home_path(const char* weighbridge_home, const char* user_home) {
  const std::string_view given = weighbridge_home == nullptr ? "" : weighbridge_home;
  if (!given.empty()) {
    if (!given.starts_with('/')) {
      return Error(Code::kInvalid, "WEIGHBRIDGE_HOME is not an absolute path");
    }
    const std::size_t last = given.find_last_not_of('/');
    return std::string(given.substr(0, last == std::string_view::npos ? 1 : last + 1));
  }
  const std::string_view home = user_home == nullptr ? "" : user_home;
  if (!home.starts_with('/')) {
    return Error(Code::kInvalid, "there is no HOME to keep the store in")
        .with_hint("set WEIGHBRIDGE_HOME to a directory on a local disk");
  }
  return std::string(home) + "/.cache/weighbridge";
}

Result<std::unique_ptr<Home>> Home::open(io::FileSystem& files, std::string path) {
  TRY(make_all(files, path));
  const io::Volume volume = TRY(files.volume(path));
  if (volume.is_network) {
    return elsewhere(Code::kUnsupported,
                     fmt::format("{} is on a network file system ({}), where locks and durability "
                                 "cannot be relied upon",
                                 path,
                                 volume.kind),
                     path);
  }
  const auto format = io::read_file(files, path + "/format", kMaxFormatBytes);
  if (format.ok()) {
    TRY(check_version({reinterpret_cast<const char*>(format->data()), format->size()},
                      path + "/format"));
  } else if (format.error().code() == Code::kNotFound) {
    TRY(begin_store(files, path));
  } else {
    return format.error().copy();
  }
  return std::unique_ptr<Home>(new Home(files, std::move(path)));  // NOLINT: private constructor
}

std::string shard_directory(std::string_view kind, std::string_view hex) {
  return fmt::format("{}/{}", kind, hex.substr(0, 2));
}

std::string Home::blob(const hash::Root& root) const {
  const std::string hex = root.hex();
  return in(shard_directory("blobs", hex), hex);
}

std::string Home::sha256(const hash::Sha256Digest& digest) const {
  const std::string hex = digest.hex();
  return in(shard_directory("sha256", hex), hex);
}

std::string Home::tree(const hash::Root& root) const {
  const std::string hex = root.hex();
  return in(shard_directory("hashtrees", hex), hex);
}

std::string Home::in(std::string_view directory, std::string_view name) const {
  return fmt::format("{}/{}/{}", path_, directory, name);
}

Result<void> Home::make_directory(const std::string& relative) {
  if (durable_.with([&](const auto& durable) { return durable.contains(relative); })) {
    return {};
  }
  const std::string parent(parent_of(relative));
  if (!parent.empty()) {
    TRY(make_directory(parent));
  }
  return make_durable(parent, relative);
}

// Somebody else may have made it and not synced it yet, so what was found there is synced as well;
// everything that then stands beside it is known to last.
Result<void> Home::make_durable(const std::string& parent, const std::string& relative) {
  const std::string above = parent.empty() ? path_ : path_ + "/" + parent;
  auto made = files_.make_directory(path_ + "/" + relative);
  if (!made.ok() && made.error().code() != Code::kExists) {
    return made;
  }
  std::vector<std::string> seen = {relative};
  if (!made.ok()) {
    for (const io::DirectoryEntry& entry : TRY(files_.list(above))) {
      if (entry.kind == io::Kind::kDirectory) {
        seen.push_back(parent.empty() ? entry.name : parent + "/" + entry.name);
      }
    }
  }
  TRY(files_.sync_directory(above));
  durable_.with([&](auto& durable) { durable.insert(seen.begin(), seen.end()); });
  return {};
}

Result<std::unique_ptr<io::OpenFile>> Home::open_lock_file() {
  const std::string lock = path_ + "/lock";
  auto made = files_.create(lock);
  if (!made.ok() && made.error().code() == Code::kExists) {
    return files_.open(lock);
  }
  return made;
}

}  // namespace weighbridge::store
