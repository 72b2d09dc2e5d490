// A record of an adopted directory that is accepted is the one text for what it says. Each input is
// also read with a sum made for it: what lies behind is reached.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/check.h"
#include "hash/hash_tree.h"
#include "store/adopted.h"

namespace {

void check(std::span<const std::byte> text) {
  const auto adopted = weighbridge::store::parse_adopted(text);
  if (!adopted.ok()) {
    return;
  }
  const auto again = weighbridge::store::write_adopted(*adopted);
  WB_CHECK(again.ok(), "what is read can be written");
  WB_CHECK(std::ranges::equal(*again, text), "what is read is canonical");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  check(input);
  std::string closed(reinterpret_cast<const char*>(data), size);
  closed = closed.substr(0, closed.rfind("sum "));
  closed += "sum " + weighbridge::hash::hash_bytes(std::as_bytes(std::span(closed))).hex() + "\n";
  check(std::as_bytes(std::span(closed)));
  return 0;
}
