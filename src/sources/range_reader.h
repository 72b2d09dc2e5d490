#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/range.h"
#include "base/result.h"
#include "io/file_system.h"

namespace weighbridge::sources {

// So many readers that a disk has work while others hash what it gave.
inline constexpr std::size_t kDiskReaders = 6;

// Reads a range of one file of this machine, each part of it by the way that suits where it stands:
// page cache, disk, or network file system. Borrows the file for its life. Confined.
class RangeReader {
 public:
  RangeReader(io::OpenFile& file, base::Range range)
      : file_(file), range_(range), remote_(file.is_remote()), looked_to_(range.begin) {}

  // As OpenFile::read_at, of what of `into` lies inside the range.
  base::Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> into);

 private:
  void look(std::uint64_t offset);
  // What of `into` is to be read directly; a rest, which only the file's end has, comes buffered.
  std::span<std::byte> aligned_part(std::uint64_t offset, std::span<std::byte> into) const;

  io::OpenFile& file_;
  const base::Range range_;
  const bool remote_;
  bool can_direct_ = true;
  bool cached_ = true;
  std::uint64_t looked_to_;
};

}  // namespace weighbridge::sources
