#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "hash/digest.h"
#include "io/file_system.h"
#include "store/hashed_file.h"

namespace weighbridge::store {

// What this machine has hashed before, so that it need not be hashed again: files that still are
// what they were (`<home>/proofs`), and the hash trees of contents known by their SHA-256
// (`<home>/hashtrees/sha256`). Both only ever hold what was computed here from the bytes
// themselves; whoever can write `<home>` is believed. (docs/formats/proofs.md)
//
// A record that is corrupt, of another version or of another file counts as absent. Other failures
// of the disk are errors, which cost the caller no more than this memory.
// Thread-safe, and safe for several processes on one directory: records appear whole.
class Proofs {
 public:
  // A file that changed later than this before it was read may change again under the same time
  // stamp.
  static constexpr std::chrono::seconds kSettled{2};
  // Records in each of the 256 directories of either kind; the oldest make way.
  static constexpr std::size_t kMaxRecordsADirectory = 256;

  // `home` is made when the first record is written. Borrows `files` for its life.
  Proofs(io::FileSystem& files, std::string home);

  // What was hashed of this very file: device, inode, size, mtime_ns and ctime_ns are the same.
  base::Result<std::optional<HashedFile>> find(const io::FileInfo& file) const;

  // `file`: what the descriptor said before the first and again after the last read;
  // `read_began`: the time before the first. False, and nothing remembered, if the file had changed
  // less than kSettled before, or later (or was larger than kMaxHashedBytes).
  base::Result<bool> remember(const io::FileInfo& file,
                              base::WallTime read_began,
                              const HashedFile& hashed);

  // The tree of the content with this SHA-256.
  base::Result<std::optional<HashedFile>> find_tree(const hash::Sha256Digest& sha256) const;

  // Has both digests, computed here from the same bytes; kInvalid without a SHA-256.
  base::Result<void> remember_tree(const HashedFile& hashed);

 private:
  base::Result<std::optional<std::vector<std::byte>>> read(const std::string& path) const;
  base::Result<void> write(const std::string& directory,
                           const std::string& name,
                           std::span<const std::byte> bytes);
  base::Result<void> make_directories(const std::string& path);
  base::Result<void> make_room(const std::string& directory);

  io::FileSystem& files_;
  const std::string home_;
};

}  // namespace weighbridge::store
