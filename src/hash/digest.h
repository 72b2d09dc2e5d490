#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/text.h"

namespace weighbridge::hash {

// A digest of `kBytes` bytes that cannot be mistaken for one of another kind, nor for a path.
// A value; Thread-compatible.
template <typename Kind, std::size_t kBytes = 32>
struct DigestOf {
  std::array<std::byte, kBytes> bytes{};

  std::string hex() const { return base::to_hex(bytes); }

  // From exactly 2 * kBytes lower-case hex digits, or nothing.
  static std::optional<DigestOf> from_hex(std::string_view hex) {
    DigestOf digest;
    const bool lower = hex.find_first_of("ABCDEF") == std::string_view::npos;
    if (!lower || !base::from_hex(hex, digest.bytes)) {
      return std::nullopt;
    }
    return digest;
  }

  friend bool operator==(const DigestOf&, const DigestOf&) = default;
  friend auto operator<=>(const DigestOf&, const DigestOf&) = default;
};

// SHA-256 of a whole file (FIPS 180-4).
using Sha256Digest = DigestOf<struct Sha256Kind>;
// The root of a file's BLAKE3 tree: what `b3sum` prints.
using Root = DigestOf<struct RootKind>;
// The chaining value of one 1 MiB piece inside that tree.
using ChainingValue = DigestOf<struct ChainingValueKind>;
// XXH3-128 in its canonical (big-endian) form: says where equal bytes may be, proves nothing.
using Hint = DigestOf<struct HintKind, 16>;

}  // namespace weighbridge::hash
