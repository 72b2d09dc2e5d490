#pragma once

#include <cstdint>

namespace weighbridge::base {

// Bytes [begin, end) of a file or body.
struct Range {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;

  constexpr std::uint64_t size() const { return end - begin; }

  constexpr bool empty() const { return begin >= end; }

  friend constexpr bool operator==(const Range&, const Range&) = default;
};

}  // namespace weighbridge::base
