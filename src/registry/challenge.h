#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/http_client.h"

namespace weighbridge::registry {

// What a 401 asks for: one of the challenges of its `WWW-Authenticate` headers (RFC 9110, 11.6).
// A value. Thread-compatible.
struct Challenge {
  std::string scheme;                       // lower case: "basic", "bearer"
  std::vector<net::HttpHeader> parameters;  // names in lower case, values unquoted

  // The first of that (lower-case) name, or empty.
  std::string_view parameter(std::string_view name) const;
};

// The challenges of one header in their order. A header that is malformed gives those before the
// fault; at most 16 challenges of 16 parameters, the rest is passed over.
std::vector<Challenge> parse_challenges(std::string_view header);

}  // namespace weighbridge::registry
