// Who can write below a directory can put a symbolic link where a directory or a file of ours is
// expected, before we look or right after. So a path is never looked at first and used later: what
// is done to a name is done relative to an open descriptor of the directory that holds it, and that
// descriptor was reached without following any link.

#include "io/beneath.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

#include "io/posix.h"

namespace weighbridge::io {
namespace {

using base::Code;
using base::Error;
using base::Result;

// Names of a relative path, without "." and empty ones.
Result<std::vector<std::string>> names_of(const std::string& path) {
  std::vector<std::string> names;
  std::string_view rest = path;
  bool leads_out = path.starts_with('/');
  while (!rest.empty()) {
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    const std::string_view name = rest.substr(0, slash);
    leads_out |= name == ".." || name.find('\0') != std::string_view::npos;
    if (!name.empty() && name != ".") {
      names.emplace_back(name);
    }
    rest.remove_prefix(std::min(slash + 1, rest.size()));
  }
  if (leads_out) {
    return Error(Code::kInvalid, "a path that leads out of its directory: " + path).in_file(path);
  }
  return names;
}

// Thread-safe: it does not change.
class Beneath final : public FileSystem {
 public:
  Beneath(Descriptor root, std::string path, bool by_kernel)
      : root_(std::move(root)), path_(std::move(path)), by_kernel_(by_kernel) {}

  Result<std::unique_ptr<OpenFile>> open(const std::string& path) override {
    return open_file("open", path, O_RDONLY | O_NONBLOCK);
  }

  Result<std::unique_ptr<OpenFile>> create(const std::string& path) override {
    return open_file("create", path, O_RDWR | O_CREAT | O_EXCL);
  }

  Result<std::unique_ptr<OpenFile>> open_to_write(const std::string& path,
                                                  Caching caching) override {
    const int direct = caching == Caching::kBypass ? O_DIRECT : 0;
    auto file = open_file("open", path, O_RDWR | direct);
    if (!file.ok() && direct != 0 && errno == EINVAL) {
      errno = EOPNOTSUPP;
      return failure("bypass the page cache for", full(path));
    }
    return file;
  }

  Result<FileInfo> info(const std::string& path) override {
    const Place place = TRY(place_of(path));

    struct stat status {};

    if (::fstatat(place.directory.number(),
                  place.name.c_str(),
                  &status,
                  AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0) {
      return failure("examine", full(path));
    }
    return info_of(status);
  }

  Result<std::vector<DirectoryEntry>> list(const std::string& path) override {
    return list_entries(TRY(open_at("list", path, O_RDONLY | O_DIRECTORY)), full(path));
  }

  Result<void> rename(const std::string& from, const std::string& to) override {
    const Place source = TRY(place_of(from));
    const Place target = TRY(place_of(to));
    if (::renameat(source.directory.number(),
                   source.name.c_str(),
                   target.directory.number(),
                   target.name.c_str()) != 0) {
      return failure("rename " + full(from) + " to", full(to));
    }
    return {};
  }

  Result<void> remove(const std::string& path) override {
    const Place place = TRY(place_of(path));
    int removed = ::unlinkat(place.directory.number(), place.name.c_str(), 0);
    if (removed != 0 && errno == EISDIR) {
      removed = ::unlinkat(place.directory.number(), place.name.c_str(), AT_REMOVEDIR);
    }
    if (removed != 0) {
      return failure("remove", full(path));
    }
    return {};
  }

  Result<void> make_directory(const std::string& path) override {
    const Place place = TRY(place_of(path));
    if (::mkdirat(place.directory.number(), place.name.c_str(), kDirectoryMode) != 0) {
      return failure("make directory", full(path));
    }
    return {};
  }

  Result<void> sync_directory(const std::string& path) override {
    const Descriptor directory = TRY(open_at("sync directory", path, O_RDONLY | O_DIRECTORY));
    if (::fsync(directory.number()) != 0) {
      return failure("sync directory", full(path));
    }
    return {};
  }

  Result<void> link(const std::string& from, const std::string& to) override {
    const Place source = TRY(place_of(from));
    const Place target = TRY(place_of(to));
    if (::linkat(source.directory.number(),
                 source.name.c_str(),
                 target.directory.number(),
                 target.name.c_str(),
                 0) != 0) {
      return failure("link " + full(from) + " as", full(to));
    }
    return {};
  }

  Result<Volume> volume(const std::string& path) override {
    return volume_of(TRY(open_at("examine the file system of", path, O_RDONLY)), full(path));
  }

  Result<void> sync_volume(const std::string& path) override {
    const Descriptor descriptor = TRY(open_at("sync the file system of", path, O_RDONLY));
    if (::syncfs(descriptor.number()) != 0) {
      return failure("sync the file system of", full(path));
    }
    return {};
  }

 private:
  // A name in an open directory; the name of the root itself is empty.
  struct Place {
    Descriptor directory;
    std::string name;
  };

  std::string full(const std::string& path) const { return path_ + "/" + path; }

  Error refuse(std::string_view doing, const std::string& path) const {
    if (errno == ELOOP || errno == EXDEV) {
      return Error(
                 Code::kDenied,
                 fmt::format("cannot {} {}: a symbolic link stands in the way", doing, full(path)))
          .in_file(full(path));
    }
    return failure(doing, full(path));
  }

  // -1 and errno: ELOOP where a link stands.
  Descriptor open_names(const std::vector<std::string>& names, int flags) const {
    return by_kernel_ ? open_at_once(names, flags) : open_name_by_name(names, flags);
  }

  static constexpr mode_t kMode = 0644;
  static constexpr mode_t kDirectoryMode = 0755;

  Descriptor open_at_once(const std::vector<std::string>& names, int flags) const {
    const std::string path = names.empty() ? "." : fmt::format("{}", fmt::join(names, "/"));
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
    how.mode = (flags & O_CREAT) != 0 ? kMode : 0;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    return Descriptor(static_cast<int>(uninterrupted(
        [&] { return ::syscall(SYS_openat2, root_.number(), path.c_str(), &how, sizeof how); })));
  }

  Descriptor open_name_by_name(const std::vector<std::string>& names, int flags) const {
    if (names.empty()) {
      return open_name(root_, ".", flags);
    }
    Descriptor directory = open_name(root_, ".", O_PATH | O_DIRECTORY);
    for (std::size_t i = 0; i + 1 < names.size() && directory.valid(); ++i) {
      directory = open_name(directory, names[i], O_PATH | O_DIRECTORY);
    }
    return directory.valid() ? open_name(directory, names.back(), flags) : std::move(directory);
  }

  static Descriptor open_name(const Descriptor& in, const std::string& name, int flags) {
    Descriptor descriptor(uninterrupted([&] {
      return ::openat(in.number(), name.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, kMode);
    }));

    struct stat status {};

    // The kernel says of a link only that it is no directory.
    if (!descriptor.valid() && errno == ENOTDIR) {
      const int known = ::fstatat(in.number(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW);
      errno = known == 0 && S_ISLNK(status.st_mode) ? ELOOP : ENOTDIR;
    }
    return descriptor;
  }

  Result<Descriptor> open_at(std::string_view doing, const std::string& path, int flags) const {
    Descriptor descriptor = open_names(TRY(names_of(path)), flags);
    if (!descriptor.valid()) {
      return refuse(doing, path);
    }
    return descriptor;
  }

  Result<std::unique_ptr<OpenFile>> open_file(std::string_view doing,
                                              const std::string& path,
                                              int flags) const {
    return make_open_file(TRY(open_at(doing, path, flags)), full(path));
  }

  Result<Place> place_of(const std::string& path) const {
    std::vector<std::string> names = TRY(names_of(path));
    std::string name;
    if (!names.empty()) {
      name = std::move(names.back());
      names.pop_back();
    }
    Descriptor directory = open_names(names, O_PATH | O_DIRECTORY);
    if (!directory.valid()) {
      return refuse("reach", path);
    }
    return Place{std::move(directory), std::move(name)};
  }

  const Descriptor root_;
  const std::string path_;  // for errors
  const bool by_kernel_;
};

// A kernel before 5.6 has no openat2, and some sandboxes forbid what they do not know.
bool has_openat2(const Descriptor& root) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH;
  const Descriptor opened(
      static_cast<int>(::syscall(SYS_openat2, root.number(), ".", &how, sizeof how)));
  return opened.valid();
}

}  // namespace

Result<std::unique_ptr<FileSystem>> open_beneath(const std::string& directory, Follow follow) {
  Descriptor root(
      uninterrupted([&] { return ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (!root.valid()) {
    return failure("open directory", directory);
  }
  const bool by_kernel = follow == Follow::kAsTheKernelCan && has_openat2(root);
  return std::unique_ptr<FileSystem>(
      std::make_unique<Beneath>(std::move(root), directory, by_kernel));
}

}  // namespace weighbridge::io
