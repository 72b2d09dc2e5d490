#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/range.h"
#include "base/result.h"

namespace weighbridge::io {

enum class Kind : std::uint8_t { kFile, kDirectory, kLink, kOther };

struct FileInfo {
  Kind kind = Kind::kFile;
  std::uint64_t size = 0;
  bool executable = false;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t mtime_ns = 0;
  std::int64_t ctime_ns = 0;
};

struct DirectoryEntry {
  std::string name;
  Kind kind = Kind::kFile;  // of the entry itself; a link is a kLink
};

// What a direct read keeps to: file offset, memory address and length are multiples of it.
inline constexpr std::uint64_t kDirectAlignment = 4096;

// An open file. Closed when destroyed. Thread-safe: every read and write names its offset.
class OpenFile {
 public:
  OpenFile() = default;
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  virtual ~OpenFile() = default;

  // At least 1 byte unless the file ends at `offset` (then 0); may be fewer than asked for.
  virtual base::Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) = 0;
  // The same past the page cache, straight from the disk into `into`, at multiples of
  // kDirectAlignment; what comes back is short, and not aligned, only at the file's end.
  // kUnsupported, with nothing read, where the file system cannot: read_at() it then.
  virtual base::Result<std::size_t> read_direct_at(std::uint64_t offset,
                                                   std::span<std::byte> into) = 0;
  // Do these bytes stand in the page cache, as far as a few looks tell? Reads nothing. True also
  // where the kernel does not say.
  virtual bool is_cached(base::Range range) = 0;
  // Does it lie on a network or FUSE file system: far away, and with a clock of its own?
  virtual bool is_remote() = 0;
  // Writes all of it or fails; what a failed write left behind is undefined.
  virtual base::Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) = 0;
  virtual base::Result<FileInfo> info() = 0;
  // Returns when data and size have reached the disk. After a failure the file must not be used.
  virtual base::Result<void> sync() = 0;
};

// The local file system, as a seam: the real one, or one that fails, tears and forgets.
// Every error names the path: kNotFound, kDenied, kExists, kExhausted (ENOSPC, EDQUOT), else kIo.
// Thread-safe.
class FileSystem {
 public:
  FileSystem() = default;
  FileSystem(const FileSystem&) = delete;
  FileSystem& operator=(const FileSystem&) = delete;
  virtual ~FileSystem() = default;

  virtual base::Result<std::unique_ptr<OpenFile>> open(const std::string& path) = 0;
  // A new file for reading and writing; kExists if there is one. Mode 0644 under the umask.
  virtual base::Result<std::unique_ptr<OpenFile>> create(const std::string& path) = 0;
  // Follows links.
  virtual base::Result<FileInfo> info(const std::string& path) = 0;
  // Without "." and "..", in no particular order.
  virtual base::Result<std::vector<DirectoryEntry>> list(const std::string& path) = 0;
  // Replaces `to` atomically.
  virtual base::Result<void> rename(const std::string& from, const std::string& to) = 0;
  virtual base::Result<void> remove(const std::string& path) = 0;
  virtual base::Result<void> make_directory(const std::string& path) = 0;
  // Returns when the names in that directory have reached the disk.
  virtual base::Result<void> sync_directory(const std::string& path) = 0;
};

std::unique_ptr<FileSystem> real_file_system();

// Writes `bytes` to `path` so that after a crash it holds either what it held before or all of
// them: unique temporary file `.weighbridge-tmp-*` beside it, sync, rename, sync of the directory.
// Leaves no temporary file behind on failure; a crash may, and no seal lists it.
base::Result<void> write_file_atomically(FileSystem& files,
                                         const std::string& path,
                                         std::span<const std::byte> bytes);

// The whole file, at most `limit_bytes` (kExhausted if it is longer).
base::Result<std::vector<std::byte>> read_file(FileSystem& files,
                                               const std::string& path,
                                               std::uint64_t limit_bytes);

}  // namespace weighbridge::io
