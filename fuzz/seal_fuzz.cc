// A seal that is accepted is the one text for what it says. Hardly any mutation keeps the closing
// digest right, so each input is also read with a digest made for it: what lies behind is reached.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/check.h"
#include "formats/seal.h"
#include "hash/sha256.h"

namespace {

using weighbridge::formats::parse_seal;
using weighbridge::formats::write_seal;

void check(std::span<const std::byte> text) {
  const auto seal = parse_seal(text);
  if (!seal.ok()) {
    return;
  }
  const auto again = write_seal(*seal);
  WB_CHECK(again.ok(), "what is read can be written");
  WB_CHECK(std::ranges::equal(*again, text), "what is read is canonical");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  check(input);
  constexpr std::size_t kDigestBytes = 32;
  if (size < kDigestBytes) {
    return 0;
  }
  std::vector<std::byte> closed(input.begin(), input.end() - kDigestBytes);
  const auto digest = weighbridge::hash::Sha256::of(closed);
  closed.insert(closed.end(), digest.bytes.begin(), digest.bytes.end());
  check(closed);
  return 0;
}
