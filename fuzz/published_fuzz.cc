// What parses as a record of what a pull published is written back byte for byte. As hardly any
// mutation keeps its sum, the input is also read as the text that the sum is made to.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/check.h"
#include "hash/hash_tree.h"
#include "transfer/published.h"

namespace {

void check(std::span<const std::byte> input) {
  const auto files = weighbridge::transfer::parse_published(input);
  if (files.ok()) {
    WB_CHECK(std::ranges::equal(weighbridge::transfer::write_published(*files), input),
             "one record, one text");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  check(input);
  std::string text(reinterpret_cast<const char*>(data), size);
  text += "sum " + weighbridge::hash::hash_bytes(input).hex() + "\n";
  check(std::as_bytes(std::span(text)));
  return 0;
}
