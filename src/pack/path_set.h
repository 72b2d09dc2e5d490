#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"

namespace weighbridge::pack {

inline constexpr std::size_t kMaxArtifactFiles = 100'000;
inline constexpr std::size_t kMaxPathParts = 64;
// Of all paths of one artifact, with those of their directories.
inline constexpr std::size_t kMaxPathBytes = 64UL * 1024 * 1024;

// The paths of one artifact, from whatever layer they come. Together they can be made as files of
// one directory on any file system, and none of them leads out of it. Confined to one thread.
class PathSet {
 public:
  // kInvalid: the path is no path of a Snapshot, has too many parts, is there already, is another
  // one's up to the case of ASCII letters, is a directory of another or has a file as a directory.
  // kExhausted: too many files, or too long ones together. The set is as it was after a failure,
  // but for directories.
  base::Result<void> add_file(std::string_view path);
  // The same for a directory, which may come any number of times.
  base::Result<void> add_directory(std::string_view path);

  std::size_t file_count() const { return file_count_; }

 private:
  struct Place {
    std::string path;
    bool is_file = false;
  };

  base::Result<void> add_parents(std::string_view path);
  base::Result<void> add(std::string_view path, bool is_file);

  std::unordered_map<std::string, Place> places_;  // by path in lower case
  std::size_t file_count_ = 0;
  std::size_t held_bytes_ = 0;
};

}  // namespace weighbridge::pack
