#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "hash/digest.h"
#include "io/file_system.h"

namespace weighbridge::store {

// A lease on a finished blob: an open descriptor with a shared lock. While it lives the blob is not
// evicted; the kernel ends it with its process. Its bytes never change.
// Thread-safe once made: every read names its offset. Movable.
class BlobFile {
 public:
  BlobFile(hash::Root root, std::uint64_t size, std::unique_ptr<io::OpenFile> file)
      : root_(root), size_(size), file_(std::move(file)) {}

  const hash::Root& root() const { return root_; }

  std::uint64_t size() const { return size_; }

  // For reads, and for its descriptor (mapping).
  io::OpenFile& file() const { return *file_; }

 private:
  hash::Root root_;
  std::uint64_t size_;
  std::unique_ptr<io::OpenFile> file_;
};

}  // namespace weighbridge::store
