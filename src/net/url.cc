#include "net/url.h"

#include <algorithm>
#include <memory>

#include <curl/curl.h>

#include "base/text.h"
#include "net/http_client.h"

namespace weighbridge::net {
namespace {

constexpr std::size_t kUrlLimit = std::size_t{16} * 1024;
constexpr std::size_t kPrintedLimit = 1024;

struct CloseUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

using UrlHandle = std::unique_ptr<CURLU, CloseUrl>;

struct FreeText {
  void operator()(char* text) const { curl_free(text); }
};

base::Error invalid(std::string_view url, std::string_view why) {
  const std::string printed = printable_url(url);
  return base::Error(base::Code::kInvalid, printed + ": " + std::string(why)).in_file(printed);
}

// Empty if the URL has no such part.
std::string part_of(const UrlHandle& handle, CURLUPart part, unsigned flags) {
  char* given = nullptr;
  const CURLUcode problem = curl_url_get(handle.get(), part, &given, flags);
  // libcurl may leave a copy behind beside an error: of a host that cannot be put into punycode.
  const std::unique_ptr<char, FreeText> text(given);
  return problem == CURLUE_OK ? std::string(text.get()) : std::string();
}

// Parses `text`; relative to `base` if that is not empty.
base::Result<UrlHandle> open_url(const std::string& base, std::string_view text) {
  if (text.empty() || text.size() > kUrlLimit || text.find('\0') != std::string_view::npos) {
    return invalid(text, "not a URL of 1 to 16384 characters");
  }
  const std::size_t scheme_end = std::min(text.find_first_of(":/?#"), text.size());
  if (text.substr(scheme_end).starts_with(":///")) {
    return invalid(text, "a URL needs a host");  // libcurl would take the path for one
  }
  UrlHandle handle(curl_url());
  if (!handle) {
    return base::Error(base::Code::kExhausted, "out of memory for a URL");
  }
  if (!base.empty() && curl_url_set(handle.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK) {
    return invalid(base, "malformed URL");
  }
  // What a server puts into a Location is often not encoded; what the user gives must be.
  const unsigned flags = CURLU_NON_SUPPORT_SCHEME | (base.empty() ? 0U : CURLU_URLENCODE);
  const CURLUcode problem =
      curl_url_set(handle.get(), CURLUPART_URL, std::string(text).c_str(), flags);
  if (problem != CURLUE_OK) {
    return invalid(text, std::string("malformed URL: ") + curl_url_strerror(problem));
  }
  return handle;
}

base::Result<Url> take_apart(const UrlHandle& handle, std::string_view text) {
  const std::string scheme = base::to_lower(part_of(handle, CURLUPART_SCHEME, 0));
  if (scheme != "http" && scheme != "https") {
    return invalid(text, "only http and https can be fetched");
  }
  Url url;
  url.user = part_of(handle, CURLUPART_USER, CURLU_URLDECODE);
  url.password = part_of(handle, CURLUPART_PASSWORD, CURLU_URLDECODE);
  url.tls = scheme == "https";
  url.host = base::to_lower(part_of(handle, CURLUPART_HOST, CURLU_PUNYCODE));
  const std::string port = part_of(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  url.origin = scheme + "://" + url.host + ":" + port;
  url.authority = port == (url.tls ? "443" : "80") ? url.host : url.host + ":" + port;
  for (const CURLUPart part : {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_FRAGMENT}) {
    curl_url_set(handle.get(), part, nullptr, 0);
  }
  url.text = part_of(handle, CURLUPART_URL, 0);
  if (url.host.empty() || url.text.empty()) {
    return invalid(text, "malformed URL");
  }
  url.target = part_of(handle, CURLUPART_PATH, 0);
  if (const std::string query = part_of(handle, CURLUPART_QUERY, 0); !query.empty()) {
    url.target += "?" + query;
  }
  return url;
}

struct UrlSplit {
  std::string_view scheme;     // with its "://", or empty
  std::string_view authority;  // with its userinfo
  std::string_view path;       // without query and fragment
};

UrlSplit split(std::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  const std::size_t scheme_end = url.find("://");
  const std::size_t begin = scheme_end == std::string_view::npos ? 0 : scheme_end + 3;
  const std::size_t path_begin = std::min(url.find('/', begin), url.size());
  return {url.substr(0, begin), url.substr(begin, path_begin - begin), url.substr(path_begin)};
}

std::string_view without_userinfo(std::string_view authority) {
  return authority.substr(authority.rfind('@') + 1);  // npos + 1 is 0
}

// host, host:port or [v6]:port; anything else may be a password that holds a '/'.
bool is_plain_authority(std::string_view authority) {
  const std::size_t bracket = authority.rfind(']');
  const std::size_t colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  return colon == std::string_view::npos ||
         authority.substr(colon + 1).find_first_not_of("0123456789") == std::string_view::npos;
}

// May the port be the beginning of a password? The '@' that would end it then stands in the path.
bool port_may_be_password(const UrlSplit& url) {
  const std::string_view authority = url.authority;
  return !authority.starts_with('[') && authority.find(':') != std::string_view::npos &&
         authority.find('@') == std::string_view::npos &&
         url.path.find('@') != std::string_view::npos;
}

}  // namespace

base::Result<Url> parse_url(std::string_view text) {
  if (text.find('#') != std::string_view::npos) {
    return invalid(text, "a '#' in a URL must be written as %23");
  }
  if (port_may_be_password(split(text))) {
    return invalid(text, "what looks like a port and a path may be a password")
        .with_hint(
            "Write a '/' in a password as %2F, and an '@' in the path of a URL with a port as "
            "%40.");
  }
  return take_apart(TRY(open_url({}, text)), text);
}

base::Result<Url> resolve_redirect(const Url& from, std::string_view location) {
  Url url = TRY(take_apart(TRY(open_url(from.text, location)), location));
  url.user.clear();
  url.password.clear();
  return url;
}

std::string printable_url(std::string_view url) {
  const UrlSplit parts = split(url);
  const std::string_view authority = without_userinfo(parts.authority);
  if (!is_plain_authority(authority) || port_may_be_password(parts)) {
    return base::printable(parts.scheme) + "...";
  }
  return base::printable(std::string(parts.scheme).append(authority).append(parts.path),
                         kPrintedLimit);
}

}  // namespace weighbridge::net
