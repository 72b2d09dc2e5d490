#include "base/units.h"

#include <array>
#include <cstddef>

#include <fmt/format.h>

namespace weighbridge::base {

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::array<const char*, 6> kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < kKiB) {
    return fmt::format("{} B", bytes);
  }
  double amount = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (amount >= 999.5 && unit + 1 < kUnits.size()) {
    amount /= 1024;
    ++unit;
  }
  const int decimals = amount < 9.995 ? 2 : (amount < 99.95 ? 1 : 0);
  return fmt::format("{:.{}f} {}", amount, decimals, kUnits[unit]);
}

}  // namespace weighbridge::base
