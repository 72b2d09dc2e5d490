// A reference that is accepted is printed back as it was given, and what may be shown of it means
// the same content and holds nothing that moves a terminal.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/text.h"
#include "model/ref.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using weighbridge::model::Ref;
  using weighbridge::model::Scheme;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto ref = Ref::parse(text);
  if (!ref.ok()) {
    WB_CHECK(!ref.error().hint().empty(), "a refusal says what would be right");
    return 0;
  }
  WB_CHECK(ref->text() == text, "printed back identically");
  WB_CHECK(!ref->location().empty(), "a reference names something");
  const std::string shown = ref->printable();
  WB_CHECK(weighbridge::base::printable(shown, shown.size()) == shown, "may be shown anywhere");
  if (ref->scheme() == Scheme::kFile || ref->scheme() == Scheme::kName) {
    return 0;
  }
  const auto again = Ref::parse(shown);
  WB_CHECK(again.ok(), "the printable form is a reference");
  WB_CHECK(again->printable() == shown, "the printable form hides all at once");
  WB_CHECK(again->pinned_sha256() == ref->pinned_sha256(), "the pin is kept");
  WB_CHECK(again->pinned_root() == ref->pinned_root(), "the pin is kept");
  return 0;
}
