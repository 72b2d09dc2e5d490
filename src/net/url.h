#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace weighbridge::net {

// An http or https URL, taken apart as far as sending a request needs it. A value.
// Thread-compatible.
struct Url {
  std::string text;    // what is requested: without userinfo and fragment
  std::string origin;  // "https://host:443", lower case: whom credentials belong to
  std::string user;    // percent-decoded, empty if there is none
  std::string password;
};

// kInvalid: not http(s), malformed, a fragment, or longer than 16 KiB.
base::Result<Url> parse_url(std::string_view text);

// Where a redirect of `from` leads. Userinfo in a Location is dropped: nobody but the user names
// credentials. kInvalid as above.
base::Result<Url> resolve_redirect(const Url& from, std::string_view location);

}  // namespace weighbridge::net
