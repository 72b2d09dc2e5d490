#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
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
  std::int64_t atime_ns = 0;
  std::uint32_t mode = 0;        // permissions only
  std::uint64_t links = 1;       // names
  std::uint64_t disk_bytes = 0;  // taken on the disk, reserved ones too
};

// What a path stands on.
struct Volume {
  std::uint64_t free_bytes = 0;  // to this user
  std::uint64_t total_bytes = 0;
  // Shared between machines, or served by a program: locks and durability are not the kernel's.
  bool is_network = false;
  std::string kind;  // for people: "nfs"
};

enum class Lock : std::uint8_t { kShared, kExclusive };

enum class Caching : std::uint8_t {
  kKeep,    // through the page cache
  kBypass,  // offset, length and memory of every read and write are multiples of kDirectBytes
};

inline constexpr std::size_t kDirectBytes = 4096;

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

  // May its times be trusted to tell of every later write? Not where it lives in memory, nor while
  // it waits to be written back. Costs a look at all of its page cache.
  virtual bool tells_changes() { return true; }

  // Writes all of it or fails; what a failed write left behind is undefined.
  virtual base::Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) = 0;
  virtual base::Result<FileInfo> info() = 0;
  // Returns when data and size have reached the disk. After a failure the file must not be used.
  virtual base::Result<void> sync() = 0;

  // What follows fails with kUnsupported where a file cannot do it.

  // Makes the file at least `bytes` long, with space on the disk for all of it; kExhausted if there
  // is not so much, and the file is then best removed.
  virtual base::Result<void> reserve(std::uint64_t bytes);
  virtual base::Result<void> set_mode(std::uint32_t mode);
  // Writes down when the file was last used, as its access time. Owner only.
  virtual base::Result<void> set_used(std::int64_t atime_ns);
  // Locks the whole file, or turns the lock held into the other kind; false if somebody's lock is
  // in the way. Never waits. Belongs to this open file and goes with it, also when its process
  // dies. Needs no permission to write.
  virtual base::Result<bool> try_lock(Lock kind);
  // Shares those bytes of `from` with this file instead of copying them; both ends aligned as the
  // file system wants it.
  virtual base::Result<void> clone_range(OpenFile& from, base::Range range, std::uint64_t to);
  // For mapping; -1 if there is none. Valid while this lives.
  virtual int descriptor() const;
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

  // What follows fails with kUnsupported where a file system cannot do it.

  // A file that exists, for reading and writing.
  virtual base::Result<std::unique_ptr<OpenFile>> open_to_write(const std::string& path,
                                                                Caching caching);
  // Another name for the same file; kExists if there is something.
  virtual base::Result<void> link(const std::string& from, const std::string& to);
  virtual base::Result<Volume> volume(const std::string& path);
  // Returns when everything written to the file system of `path` has reached the disk.
  virtual base::Result<void> sync_volume(const std::string& path);
};

std::unique_ptr<FileSystem> real_file_system();

// How the names of temporary files begin.
inline constexpr std::string_view kTemporaryPrefix = ".weighbridge-tmp-";

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
