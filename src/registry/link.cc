#include "registry/link.h"

#include <algorithm>

#include "base/text.h"
#include "net/url.h"

namespace weighbridge::registry {
namespace {

bool says_next(std::string_view parameters) {
  const std::string lower = base::to_lower(parameters);
  return lower.find("rel=\"next\"") != std::string::npos ||
         lower.find("rel=next") != std::string::npos;
}

}  // namespace

std::optional<std::string> next_page(const net::HttpHead& head, std::string_view url) {
  std::string_view rest = head.header("link");
  while (!rest.empty()) {
    const std::size_t open = rest.find('<');
    const std::size_t close = rest.find('>', open == std::string_view::npos ? 0 : open);
    if (open == std::string_view::npos || close == std::string_view::npos) {
      return std::nullopt;
    }
    const std::string_view target = rest.substr(open + 1, close - open - 1);
    rest.remove_prefix(close + 1);
    const std::size_t following = rest.find('<');
    if (says_next(rest.substr(0, following))) {
      const auto from = net::parse_url(url);
      const auto next =
          from.ok() ? net::resolve_redirect(from.value(), target) : net::parse_url("");
      const bool usable = next.ok() && next->origin == from->origin && next->text != url;
      return usable ? std::optional(next->text) : std::nullopt;
    }
    rest.remove_prefix(std::min(following, rest.size()));
  }
  return std::nullopt;
}

}  // namespace weighbridge::registry
