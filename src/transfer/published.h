#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "hash/digest.h"

namespace weighbridge::transfer {

// A file that a pull into a directory gave its final name. A value; Thread-compatible.
struct PublishedFile {
  hash::Root id;  // of the partial file that it was: which path, which revision
  hash::Root root;
  std::uint64_t size = 0;
  std::string path;

  friend bool operator==(const PublishedFile&, const PublishedFile&) = default;
};

// No record that is read is longer than this.
inline constexpr std::uint64_t kMaxPublishedBytes = 256ULL * 1024 * 1024;

// The bytes of one record (docs/formats/journal.md). Paths are those of a Snapshot.
std::vector<std::byte> write_published(std::span<const PublishedFile> files);
// kCorrupt for anything that write_published() would not have written.
base::Result<std::vector<PublishedFile>> parse_published(std::span<const std::byte> bytes);

}  // namespace weighbridge::transfer
