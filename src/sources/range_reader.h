#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/range.h"
#include "base/result.h"
#include "io/file_system.h"
#include "sources/source.h"

namespace weighbridge::sources {

// So many readers that a disk has work while others hash what it gave.
inline constexpr std::size_t kDiskReaders = 12;

// LocalReads, as the threads of one Source count them together. Thread-safe.
struct LocalReadCounts {
  std::atomic<std::uint64_t> cached_bytes = 0;
  std::atomic<std::uint64_t> direct_bytes = 0;
  std::atomic<std::uint64_t> buffered_bytes = 0;
  std::atomic<std::uint64_t> far_bytes = 0;

  LocalReads so_far() const { return {cached_bytes, direct_bytes, buffered_bytes, far_bytes}; }
};

// Reads a range of one file of this machine, each part of it by the way that suits where it stands:
// page cache, disk, or network file system. Borrows the file and the
// counts for its life. Confined.
class RangeReader {
 public:
  RangeReader(io::OpenFile& file, base::Range range, LocalReadCounts& counts)
      : file_(file),
        range_(range),
        counts_(counts),
        remote_(file.is_remote()),
        looked_to_(range.begin) {}

  // As OpenFile::read_at, of what of `into` lies inside the range.
  base::Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> into);

 private:
  void look(std::uint64_t offset);
  // What of `into` is to be read directly; a rest, which only the file's end has, comes buffered.
  std::span<std::byte> aligned_part(std::uint64_t offset, std::span<std::byte> into) const;

  io::OpenFile& file_;
  const base::Range range_;
  LocalReadCounts& counts_;
  const bool remote_;
  bool can_direct_ = true;
  bool cached_ = true;
  std::uint64_t looked_to_;
};

}  // namespace weighbridge::sources
