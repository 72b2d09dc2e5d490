// A manifest or index that is accepted is written as a text that reads back to the same value,
// once and for all.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/check.h"
#include "base/text.h"
#include "registry/manifest.h"

namespace {

using weighbridge::registry::Index;
using weighbridge::registry::Manifest;

std::string write(const Manifest& manifest) {
  return weighbridge::registry::write_manifest(manifest);
}

std::string write(const Index& index) {
  return weighbridge::registry::write_index(index);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using weighbridge::base::Code;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = weighbridge::registry::parse_manifest_or_index(text);
  if (!parsed.ok()) {
    const Code code = parsed.error().code();
    WB_CHECK(code == Code::kCorrupt || code == Code::kExhausted || code == Code::kUnsupported,
             "another code than the header promises");
    const std::string& message = parsed.error().message();
    WB_CHECK(weighbridge::base::is_utf8(message), "a message that is not text");
    return 0;
  }
  const std::string once =
      std::visit([](const auto& value) { return write(value); }, parsed.value());
  const auto again = weighbridge::registry::parse_manifest_or_index(once);
  WB_CHECK(again.ok() && again.value() == parsed.value(), "written as something else");
  if (const auto* manifest = std::get_if<Manifest>(&parsed.value())) {
    static_cast<void>(weighbridge::registry::total_bytes(*manifest).ok());
  }
  return 0;
}
