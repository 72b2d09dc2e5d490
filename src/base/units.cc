#include "base/units.h"

#include <array>
#include <cstddef>

#include <fmt/format.h>

#include "base/text.h"

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

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  constexpr std::array<std::string_view, 4> kUnits = {"KiB", "MiB", "GiB", "TiB"};
  std::uint64_t unit_bytes = 1;
  std::uint64_t next_bytes = 1;
  for (const std::string_view unit : kUnits) {
    next_bytes *= kKiB;
    if (text.ends_with(unit)) {
      text.remove_suffix(unit.size());
      unit_bytes = next_bytes;
      break;
    }
  }
  const auto count = parse_decimal(text);
  return count ? checked_multiply(*count, unit_bytes) : std::nullopt;
}

}  // namespace weighbridge::base
