#include "io/posix.h"

#include <array>
#include <cstdio>
#include <cstring>
#include <limits>
#include <mutex>

#include <dirent.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#include <fmt/format.h>

#include "io/page_cache.h"

namespace weighbridge::io {

using base::Code;
using base::Error;
using base::Result;

namespace {

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
    case EOPNOTSUPP:
    case ENOSYS:
      return Code::kUnsupported;
    default:
      return Code::kIo;
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

Error no_direct_reads(const std::string& path) {
  return Error(Code::kUnsupported, "this file system has no direct reads: " + path).in_file(path);
}

// The same file once more, for direct reads: O_DIRECT belongs to a descriptor, and by its path it
// might be another file by now.
Descriptor open_direct(int descriptor) {
  const std::string path = fmt::format("/proc/self/fd/{}", descriptor);
  return Descriptor(
      uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC); }));
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

  bool tells_changes() override { return moves_times(descriptor_.number()); }

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

  // Asked before space is taken: a file system may fill itself up before it says that it is too
  // much.
  Result<void> check_room(std::uint64_t bytes) {
    const std::uint64_t has = TRY(info()).disk_bytes;

    struct statfs space {};

    if (::fstatfs(descriptor_.number(), &space) == 0 &&
        bytes > has + space.f_bavail * static_cast<std::uint64_t>(space.f_bsize)) {
      errno = ENOSPC;
      return failure("reserve space for", path_);
    }
    return {};
  }

  Result<void> reserve(std::uint64_t bytes) override {
    if (bytes == 0) {
      return {};
    }
    TRY(check_offset(0, bytes));

    TRY(check_room(bytes));
    const int done = uninterrupted(
        [&] { return ::fallocate(descriptor_.number(), 0, 0, static_cast<off_t>(bytes)); });
    if (done != 0) {
      return failure("reserve space for", path_);
    }
    return {};
  }

  Result<void> set_mode(std::uint32_t mode) override {
    if (::fchmod(descriptor_.number(), mode) != 0) {
      return failure("change the mode of", path_);
    }
    return {};
  }

  Result<void> set_used(std::int64_t atime_ns) override {
    constexpr std::int64_t kSecond = 1'000'000'000;
    const std::array<timespec, 2> times = {
        timespec{atime_ns / kSecond, static_cast<long>(atime_ns % kSecond)},
        timespec{0, UTIME_OMIT},
    };
    if (::futimens(descriptor_.number(), times.data()) != 0) {
      return failure("note the use of", path_);
    }
    return {};
  }

  // A lock of flock(2): an OFD lock excludes others only on a descriptor opened for writing, which
  // nobody gets of a file with mode 0444. Both belong to the open file, not to the process.
  Result<bool> try_lock(Lock kind) override {
    const int operation = (kind == Lock::kShared ? LOCK_SH : LOCK_EX) | LOCK_NB;
    if (uninterrupted([&] { return ::flock(descriptor_.number(), operation); }) == 0) {
      return true;
    }
    if (errno == EWOULDBLOCK) {
      return false;
    }
    return failure("lock", path_);
  }

  Result<void> clone_range(OpenFile& from, base::Range range, std::uint64_t to) override {
    file_clone_range clone{};
    clone.src_fd = from.descriptor();
    clone.src_offset = range.begin;
    clone.src_length = range.size();
    clone.dest_offset = to;
    if (::ioctl(descriptor_.number(), FICLONERANGE, &clone) != 0) {
      // Other file systems, other devices and odd ends are all refused by other names.
      const bool cannot = errno == EXDEV || errno == EINVAL || errno == ENOTTY || errno == EBADF;
      errno = cannot ? EOPNOTSUPP : errno;
      return failure("clone into", path_);
    }
    return {};
  }

  int descriptor() const override { return descriptor_.number(); }

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

struct VolumeKind {
  std::uint64_t magic;  // statfs(2)
  std::string_view name;
};

// What is not on this machine's own disks. FUSE may be anything, and its locks often lock nothing.
constexpr std::array kNetworkKinds = {
    VolumeKind{0x6969, "nfs"},
    VolumeKind{0x517B, "smb"},
    VolumeKind{0xFE534D42, "smb2"},
    VolumeKind{0xFF534D42, "cifs"},
    VolumeKind{0x01021997, "9p"},
    VolumeKind{0x00C36400, "ceph"},
    VolumeKind{0x0BD00BD0, "lustre"},
    VolumeKind{0x47504653, "gpfs"},
    VolumeKind{0x5346414F, "afs"},
    VolumeKind{0x65735546, "fuse"},
};

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

}  // namespace

Error failure(std::string_view doing, const std::string& path) {
  const int error = errno;
  std::array<char, 128> buffer{};
  const char* const reason = ::strerror_r(error, buffer.data(), buffer.size());
  return Error(code_of(error), fmt::format("cannot {} {}: {}", doing, path, reason)).in_file(path);
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
  info.atime_ns = nanoseconds(status.st_atim);
  info.mode = status.st_mode & 07777U;
  info.links = status.st_nlink;
  constexpr std::uint64_t kStatBlockBytes = 512;
  info.disk_bytes = static_cast<std::uint64_t>(status.st_blocks) * kStatBlockBytes;
  return info;
}

std::unique_ptr<OpenFile> make_open_file(Descriptor descriptor, std::string path) {
  return std::make_unique<RealFile>(std::move(descriptor), std::move(path));
}

Result<std::vector<DirectoryEntry>> list_entries(Descriptor descriptor, const std::string& path) {
  const std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(descriptor.number()));
  if (directory == nullptr) {
    return failure("list", path);
  }
  static_cast<void>(descriptor.release());
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

Result<Volume> volume_of(const Descriptor& descriptor, const std::string& path) {
  struct statfs status {};

  if (uninterrupted([&] { return ::fstatfs(descriptor.number(), &status); }) != 0) {
    return failure("examine the file system of", path);
  }
  const auto block_bytes = static_cast<std::uint64_t>(status.f_bsize);
  Volume volume;
  volume.free_bytes = status.f_bavail * block_bytes;
  volume.total_bytes = status.f_blocks * block_bytes;
  volume.kind = "local";
  for (const VolumeKind& kind : kNetworkKinds) {
    if (static_cast<std::uint32_t>(status.f_type) == kind.magic) {
      volume.is_network = true;
      volume.kind = kind.name;
    }
  }
  return volume;
}

}  // namespace weighbridge::io
