#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "net/http_client.h"

namespace weighbridge::registry {

// The next page of a list, from `Link: <...>; rel="next"` (RFC 8288), resolved against where this
// one was asked for; nothing if there is none, or it leads to another server.
std::optional<std::string> next_page(const net::HttpHead& head, std::string_view url);

}  // namespace weighbridge::registry
