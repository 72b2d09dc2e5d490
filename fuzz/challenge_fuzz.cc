// Whatever stands in a WWW-Authenticate header: read within limits, and never with a name in upper
// case that a comparison would miss.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/text.h"
#include "registry/challenge.h"
#include "registry/link.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto challenges = weighbridge::registry::parse_challenges(text);
  WB_CHECK(challenges.size() <= 16, "too many challenges");
  for (const auto& challenge : challenges) {
    WB_CHECK(!challenge.scheme.empty(), "a challenge without a scheme");
    WB_CHECK(challenge.scheme == weighbridge::base::to_lower(challenge.scheme), "upper case");
    WB_CHECK(challenge.parameters.size() <= 16, "too many parameters");
    WB_CHECK(challenge.parameter("Realm").empty(), "a name in upper case");
  }
  weighbridge::net::HttpHead head;
  head.headers = {{"link", std::string(text)}};
  const auto next = weighbridge::registry::next_page(head, "https://host/v2/a/tags/list?n=1");
  WB_CHECK(!next || next->starts_with("https://host/"), "a page on another server");
  return 0;
}
