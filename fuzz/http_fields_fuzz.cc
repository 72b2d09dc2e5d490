// Whatever a server writes into its headers: read it without a fault, and hold what the header
// promises of the result.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "net/http_fields.h"
#include "net/url.h"

namespace {

void read_fields(std::string_view text) {
  using weighbridge::net::parse_content_range;
  if (const auto content = parse_content_range(text)) {
    WB_CHECK(content->range || content->total, "a Content-Range that says nothing");
    WB_CHECK(!content->range || !content->range->empty(), "an empty range");
    WB_CHECK(!content->range || !content->total || content->range->end <= *content->total,
             "a range past the total");
  }
  const weighbridge::base::WallTime now{std::chrono::seconds(1'700'000'000)};
  if (const auto wait = weighbridge::net::parse_retry_after(text, now)) {
    WB_CHECK(wait->count() >= 0 && *wait <= std::chrono::hours(24), "a wait out of bounds");
  }
  if (const auto status = weighbridge::net::parse_status_line(text)) {
    WB_CHECK(*status >= 100 && *status <= 999, "a status out of bounds");
  }
  if (const auto header = weighbridge::net::parse_header_line(text)) {
    WB_CHECK(weighbridge::net::is_sendable(*header), "a header that hides another");
  }
}

void read_location(std::string_view text) {
  const auto from = weighbridge::net::parse_url("https://host/a/b");
  const auto to = weighbridge::net::resolve_redirect(*from, text);
  if (to.ok()) {
    const bool http = to->origin.starts_with("http://") || to->origin.starts_with("https://");
    WB_CHECK(http && to->user.empty() && to->password.empty(), "a redirect to somewhere else");
    WB_CHECK(weighbridge::net::parse_url(to->text).ok(), "a redirect that is no URL");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read_fields(text);
  read_location(text);
  static_cast<void>(weighbridge::net::printable_url(text));
  return 0;
}
