#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "hash/digest.h"
#include "io/file_system.h"
#include "store/home.h"
#include "sync/guarded.h"

namespace weighbridge::store {

// No record of an adopted directory is longer than this.
inline constexpr std::uint64_t kMaxAdoptedRecordBytes = 64ULL * 1024 * 1024;

// One file of an adopted directory: which one it was, and what it hashed to. A value;
// Thread-compatible.
struct AdoptedFile {
  std::string path;  // below the directory
  hash::Root root;
  std::uint64_t size = 0;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t mtime_ns = 0;
  std::int64_t ctime_ns = 0;
  bool withdrawn = false;  // it is another one now

  // Is it still that file?
  bool is(const io::FileInfo& info) const;

  friend bool operator==(const AdoptedFile&, const AdoptedFile&) = default;
};

// A directory that stands outside the store and is read only. A value; Thread-compatible.
struct AdoptedDirectory {
  std::string directory;  // absolute
  hash::Root content_id;
  hash::Sha256Digest seal_sha256;
  std::uint64_t adopted_s = 0;     // since 1970
  std::vector<AdoptedFile> files;  // in byte order of their paths

  friend bool operator==(const AdoptedDirectory&, const AdoptedDirectory&) = default;
};

// The canonical bytes (docs/formats/adopted.md). kInvalid for paths out of order or not allowed.
base::Result<std::vector<std::byte>> write_adopted(const AdoptedDirectory& adopted);
// kCorrupt for anything that write_adopted() would not have written.
base::Result<AdoptedDirectory> parse_adopted(std::span<const std::byte> bytes);

// The full path of a file of an adopted directory.
std::string adopted_path(const std::string& directory, std::string_view path);

// A file of an adopted directory, open, and the one that was hashed when it was opened. Its bytes
// are a claim: whoever takes them proves them. Thread-safe as its file is.
struct AdoptedCopy {
  std::string path;
  std::uint64_t size = 0;
  std::unique_ptr<io::OpenFile> file;
};

// Damaged records are left out; in the order of their directories.
base::Result<std::vector<AdoptedDirectory>> adopted_directories(const Home& home);

// Directories elsewhere whose bytes the store may take instead of fetching them.
// Thread-safe, and safe for several processes on one home: every record appears whole.
class Adopted {
 public:
  // Borrows `home` for its life.
  explicit Adopted(Home& home) : home_(home) {}

  // Durable when it returns; replaces what was said of the same directory.
  base::Result<void> put(const AdoptedDirectory& adopted);

  base::Result<std::vector<AdoptedDirectory>> all() const { return adopted_directories(home_); }

  base::Result<std::optional<AdoptedDirectory>> find(const std::string& directory) const;
  // The directory itself is left alone. Absent is as good.
  base::Result<void> remove(const std::string& directory);

  // A file with this content that is still what it was; a changed one is withdrawn on the way.
  // Looks into the records once in its life, and after each put() and remove() of its own.
  base::Result<std::optional<AdoptedCopy>> open(const hash::Root& root);

  // The file is not what it was: from now on it proves nothing.
  base::Result<void> withdraw(const std::string& directory, std::string_view path);

 private:
  struct Place {
    std::string directory;
    AdoptedFile file;
  };

  using Places = std::multimap<hash::Root, Place>;

  std::string record_path(const std::string& directory) const;
  base::Result<std::vector<Place>> places(const hash::Root& root);

  Home& home_;
  sync::Guarded<std::optional<Places>> places_;
};

}  // namespace weighbridge::store
