#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "hash/digest.h"
#include "io/file_system.h"
#include "sync/guarded.h"

namespace weighbridge::store {

// The layout on disk that this version writes (docs/formats/store.md).
inline constexpr unsigned kLayoutVersion = 1;

// Where the store is by default: $WEIGHBRIDGE_HOME, else ~/.cache/weighbridge; both values as the
// environment has them, null where it does not. kInvalid if neither is there, or the first is no
// absolute path.
base::Result<std::string> home_path(const char* weighbridge_home, const char* user_home);

// The directory of a store: says where everything stands, and makes directories that last.
// Thread-safe, and safe for several processes on one directory.
class Home {
 public:
  // Makes it if it is missing or empty. kUnsupported for a newer layout and for a network file
  // system; kInvalid for a directory that holds other things. Borrows `files` for its life.
  static base::Result<std::unique_ptr<Home>> open(io::FileSystem& files, std::string path);

  Home(const Home&) = delete;
  Home& operator=(const Home&) = delete;

  const std::string& path() const { return path_; }

  io::FileSystem& files() const { return files_; }

  // Paths; nothing needs to be there. The first part is a directory() below.
  std::string blob(const hash::Root& root) const;
  std::string sha256(const hash::Sha256Digest& digest) const;
  std::string tree(const hash::Root& root) const;
  std::string in(std::string_view directory, std::string_view name) const;

  // A directory below home, "blobs/ab" or "refs", with its parents; its name has reached the disk
  // when this returns.
  base::Result<void> make_directory(const std::string& relative);

  // The file that is locked while space is given out or snapshots change.
  base::Result<std::unique_ptr<io::OpenFile>> open_lock_file();

 private:
  Home(io::FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {}

  base::Result<void> make_durable(const std::string& parent, const std::string& relative);

  io::FileSystem& files_;
  const std::string path_;
  sync::Guarded<std::set<std::string>> durable_;  // directories whose names are on the disk
};

// "blobs/ab" of a blob, "sha256/ab", ...
std::string shard_directory(std::string_view kind, std::string_view hex);

}  // namespace weighbridge::store
