// What parses as a lock is written back byte for byte.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "formats/lock.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  const auto lock = weighbridge::formats::parse_lock(input);
  if (lock.ok()) {
    const auto written = weighbridge::formats::write_lock(*lock);
    WB_CHECK(written.ok() && std::ranges::equal(*written, input), "one lock, one text");
  }
  return 0;
}
