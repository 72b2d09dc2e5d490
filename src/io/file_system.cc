#include "io/file_system.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <mutex>
#include <string_view>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "io/page_cache.h"

namespace weighbridge::io {
namespace {

using base::Code;
using base::Error;
using base::Result;

Code code_of(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return Code::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::kDenied;
    case EEXIST:
    case ENOTEMPTY:
      return Code::kExists;
    case ENOSPC:
    case EDQUOT:
      return Code::kExhausted;
    default:
      return Code::kIo;
  }
}

// "cannot open /a/b: No such file or directory", from errno.
Error failure(std::string_view doing, const std::string& path) {
  const int error = errno;
  std::array<char, 128> buffer{};
  const char* const reason = ::strerror_r(error, buffer.data(), buffer.size());
  return Error(code_of(error), fmt::format("cannot {} {}: {}", doing, path, reason)).in_file(path);
}

// Runs a system call again while signals interrupt it.
template <typename SystemCall>
auto uninterrupted(SystemCall&& system_call) {
  for (;;) {
    const auto result = system_call();
    if (result != -1 || errno != EINTR) {
      return result;
    }
  }
}

std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

Kind kind_of(mode_t mode) {
  if (S_ISREG(mode)) {
    return Kind::kFile;
  }
  if (S_ISDIR(mode)) {
    return Kind::kDirectory;
  }
  return S_ISLNK(mode) ? Kind::kLink : Kind::kOther;
}

FileInfo info_of(const struct stat& status) {
  FileInfo info;
  info.kind = kind_of(status.st_mode);
  info.size = static_cast<std::uint64_t>(status.st_size);
  info.executable = (status.st_mode & S_IXUSR) != 0;
  info.device = status.st_dev;
  info.inode = status.st_ino;
  info.mtime_ns = nanoseconds(status.st_mtim);
  info.ctime_ns = nanoseconds(status.st_ctim);
  return info;
}

// Closed when it goes, so that no early return leaks it. Confined to its owner.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}

  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}

  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }

  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  ~Descriptor() {
    if (number_ >= 0) {
      ::close(number_);
    }
  }

  bool valid() const { return number_ >= 0; }

  int number() const { return number_; }

 private:
  int number_;
};

Descriptor open_descriptor(const std::string& path, int flags) {
  constexpr mode_t kMode = 0644;
  return Descriptor(uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, kMode); }));
}

Error no_direct_reads(const std::string& path) {
  return Error(Code::kUnsupported, "this file system has no direct reads: " + path).in_file(path);
}

// The same file once more, for direct reads: O_DIRECT belongs to a descriptor, and by its path it
// might be another file by now.
Descriptor open_direct(int descriptor) {
  return open_descriptor(fmt::format("/proc/self/fd/{}", descriptor), O_RDONLY | O_DIRECT);
}

// The kernel's offsets are signed.
bool is_offset(std::uint64_t offset, std::uint64_t size) {
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
  return offset <= kMost && size <= kMost - offset;
}

// Thread-safe: every call names its offset, and the second descriptor is opened once.
class RealFile final : public OpenFile {
 public:
  RealFile(Descriptor descriptor, std::string path)
      : descriptor_(std::move(descriptor)), path_(std::move(path)) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) override {
    TRY(check_offset(offset, into.size()));
    const ssize_t got = uninterrupted([&] {
      return ::pread(descriptor_.number(), into.data(), into.size(), static_cast<off_t>(offset));
    });
    if (got < 0) {
      return failure("read", path_).at(offset);
    }
    return static_cast<std::size_t>(got);
  }

  Result<std::size_t> read_direct_at(std::uint64_t offset, std::span<std::byte> into) override {
    TRY(check_offset(offset, into.size()));
    std::call_once(direct_opened_, [this] { direct_ = open_direct(descriptor_.number()); });
    if (!direct_.valid()) {
      return no_direct_reads(path_);
    }
    const ssize_t got = uninterrupted([&] {
      return ::pread(direct_.number(), into.data(), into.size(), static_cast<off_t>(offset));
    });
    if (got < 0 && errno == EINVAL) {
      return no_direct_reads(path_);
    }
    if (got < 0) {
      return failure("read", path_).at(offset);
    }
    return static_cast<std::size_t>(got);
  }

  bool is_cached(base::Range range) override { return looks_cached(descriptor_.number(), range); }

  bool is_remote() override { return lies_far_away(descriptor_.number()); }

  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    TRY(check_offset(offset, bytes.size()));
    while (!bytes.empty()) {
      const ssize_t put = uninterrupted([&] {
        return ::pwrite(
            descriptor_.number(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      });
      if (put < 0) {
        return failure("write", path_).at(offset);
      }
      bytes = bytes.subspan(static_cast<std::size_t>(put));
      offset += static_cast<std::uint64_t>(put);
    }
    return {};
  }

  Result<FileInfo> info() override {
    struct stat status {};

    if (::fstat(descriptor_.number(), &status) != 0) {
      return failure("examine", path_);
    }
    return info_of(status);
  }

  Result<void> sync() override {
    // Never tried again: after a failed fsync the kernel may call lost pages clean.
    if (::fsync(descriptor_.number()) != 0) {
      return failure("sync", path_);
    }
    return {};
  }

 private:
  Result<void> check_offset(std::uint64_t offset, std::uint64_t size) const {
    if (!is_offset(offset, size)) {
      return Error(Code::kInvalid, "no file reaches that far: " + path_).in_file(path_).at(offset);
    }
    return {};
  }

  const Descriptor descriptor_;
  const std::string path_;
  std::once_flag direct_opened_;
  Descriptor direct_{-1};
};

Result<std::unique_ptr<OpenFile>> open_file(const std::string& path, int flags) {
  Descriptor descriptor = open_descriptor(path, flags);
  if (!descriptor.valid()) {
    return failure((flags & O_CREAT) != 0 ? "create" : "open", path);
  }
  return std::unique_ptr<OpenFile>(std::make_unique<RealFile>(std::move(descriptor), path));
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

// Some file systems leave the kind out of the listing.
Kind kind_of(DIR* directory, const dirent& entry) {
  switch (entry.d_type) {
    case DT_REG:
      return Kind::kFile;
    case DT_DIR:
      return Kind::kDirectory;
    case DT_LNK:
      return Kind::kLink;
    case DT_UNKNOWN:
      break;
    default:
      return Kind::kOther;
  }

  struct stat status {};

  const int done = ::fstatat(::dirfd(directory), entry.d_name, &status, AT_SYMLINK_NOFOLLOW);
  return done == 0 ? kind_of(status.st_mode) : Kind::kOther;
}

// Thread-safe: it has no state.
class RealFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<OpenFile>> open(const std::string& path) override {
    // A named pipe would otherwise block here until somebody writes to it.
    return open_file(path, O_RDONLY | O_NONBLOCK);
  }

  Result<std::unique_ptr<OpenFile>> create(const std::string& path) override {
    return open_file(path, O_RDWR | O_CREAT | O_EXCL);
  }

  Result<FileInfo> info(const std::string& path) override {
    struct stat status {};

    if (::stat(path.c_str(), &status) != 0) {
      return failure("examine", path);
    }
    return info_of(status);
  }

  Result<std::vector<DirectoryEntry>> list(const std::string& path) override {
    const std::unique_ptr<DIR, CloseDirectory> directory(::opendir(path.c_str()));
    if (directory == nullptr) {
      return failure("list", path);
    }
    std::vector<DirectoryEntry> entries;
    for (;;) {
      errno = 0;
      const dirent* const entry = ::readdir(directory.get());
      if (entry == nullptr) {
        break;
      }
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") {
        entries.push_back({std::string(name), kind_of(directory.get(), *entry)});
      }
    }
    if (errno != 0) {
      return failure("list", path);
    }
    return entries;
  }

  Result<void> rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) {
      return failure("rename " + from + " to", to);
    }
    return {};
  }

  Result<void> remove(const std::string& path) override {
    if (::remove(path.c_str()) != 0) {
      return failure("remove", path);
    }
    return {};
  }

  Result<void> make_directory(const std::string& path) override {
    constexpr mode_t kMode = 0755;
    if (::mkdir(path.c_str(), kMode) != 0) {
      return failure("make directory", path);
    }
    return {};
  }

  Result<void> sync_directory(const std::string& path) override {
    const Descriptor descriptor = open_descriptor(path, O_RDONLY | O_DIRECTORY);
    if (!descriptor.valid() || ::fsync(descriptor.number()) != 0) {
      return failure("sync directory", path);
    }
    return {};
  }
};

}  // namespace

std::unique_ptr<FileSystem> real_file_system() {
  return std::make_unique<RealFileSystem>();
}

}  // namespace weighbridge::io
