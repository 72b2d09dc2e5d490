// A record that is accepted is the one text for what it says. Each input is also read with a
// closing digest made for it, as hardly any mutation keeps that right.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/check.h"
#include "hash/sha256.h"
#include "store/hashed_file.h"

namespace {

namespace hash = weighbridge::hash;
namespace store = weighbridge::store;

void check(std::span<const std::byte> bytes) {
  const auto proof = store::parse_proof(bytes);
  if (proof.ok()) {
    const auto again = store::write_proof(*proof);
    WB_CHECK(again.ok() && std::ranges::equal(*again, bytes), "what is read is canonical");
  }
  const auto tree = store::parse_tree(bytes);
  if (tree.ok()) {
    const auto again = store::write_tree(*tree);
    WB_CHECK(again.ok() && std::ranges::equal(*again, bytes), "what is read is canonical");
  }
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
  const auto digest = hash::Sha256::of(closed);
  closed.insert(closed.end(), digest.bytes.begin(), digest.bytes.end());
  check(closed);
  return 0;
}
