// A reference that is accepted prints to a text that parses to the same value, and is of the
// grammar in all its parts.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "registry/reference.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using weighbridge::registry::Reference;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto reference = Reference::parse(text);
  if (!reference.ok()) {
    WB_CHECK(!reference.error().hint().empty(), "a refusal says what would be right");
    return 0;
  }
  WB_CHECK(weighbridge::registry::is_host(reference->host), "a host");
  WB_CHECK(reference->host == weighbridge::registry::canonical_host(reference->host), "one form");
  WB_CHECK(!reference->tag || weighbridge::registry::is_tag(*reference->tag), "a tag");
  const auto again = Reference::parse(reference->text());
  WB_CHECK(again.ok() && again.value() == reference.value(), "prints to what it is");
  return 0;
}
