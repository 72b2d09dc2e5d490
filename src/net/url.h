#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace weighbridge::net {

// An http or https URL, taken apart as far as sending a request needs it. A value.
// Thread-compatible.
struct Url {
  std::string text;       // what is requested: without userinfo and fragment
  std::string origin;     // "https://host:443", lower case: whom credentials belong to
  std::string host;       // lower case; IPv6 in brackets
  std::string authority;  // what Host says: the port only where it is not the scheme's own
  std::string target;     // path and query, as a request line has them
  bool tls = false;
  std::string user;  // percent-decoded, empty if there is none
  std::string password;
};

// kInvalid: not http(s), malformed, a fragment, longer than 16 KiB, or such that a password may
// pass for a port and a path ("http://user:12/secret@host/"): an '@' in the path of a URL with a
// port is written as %40.
base::Result<Url> parse_url(std::string_view text);

// Where a redirect of `from` leads. Userinfo in a Location is dropped: nobody but the user names
// credentials. kInvalid as above.
base::Result<Url> resolve_redirect(const Url& from, std::string_view location);

}  // namespace weighbridge::net
