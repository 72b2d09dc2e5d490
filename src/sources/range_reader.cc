#include "sources/range_reader.h"

#include <algorithm>

namespace weighbridge::sources {

using base::Code;
using base::Result;

namespace {

// What is asked of the page cache at once: small enough to be hashed while it is in the CPU's.
constexpr std::size_t kCachedBytes = std::size_t{256} * 1024;
// What is asked of a disk or a network at once.
constexpr std::size_t kFarBytes = std::size_t{8} * 1024 * 1024;

}  // namespace

Result<std::size_t> RangeReader::read(std::uint64_t offset, std::span<std::byte> into) {
  into = into.first(std::min<std::uint64_t>(into.size(), range_.end - offset));
  if (offset >= looked_to_) {
    look(offset);
  }
  const std::span<std::byte> aligned = aligned_part(offset, into);
  if (!aligned.empty()) {
    auto read = file_.read_direct_at(offset, aligned.first(std::min(aligned.size(), kFarBytes)));
    if (read.ok() || read.error().code() != Code::kUnsupported) {
      return read;
    }
    can_direct_ = false;
  }
  const std::size_t step = remote_ ? kFarBytes : kCachedBytes;
  return file_.read_at(offset, into.first(std::min(into.size(), step)));
}

void RangeReader::look(std::uint64_t offset) {
  looked_to_ = std::min(range_.end, offset + kFarBytes);
  cached_ = remote_ || !can_direct_ || file_.is_cached({offset, looked_to_});
}

std::span<std::byte> RangeReader::aligned_part(std::uint64_t offset,
                                               std::span<std::byte> into) const {
  const bool in_phase = offset % io::kDirectAlignment == 0 &&
                        reinterpret_cast<std::uintptr_t>(into.data()) % io::kDirectAlignment == 0;
  if (cached_ || !can_direct_ || !in_phase) {
    return {};
  }
  return into.first(into.size() / io::kDirectAlignment * io::kDirectAlignment);
}

}  // namespace weighbridge::sources
