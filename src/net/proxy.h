#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "net/http_client.h"
#include "net/url.h"

namespace weighbridge::net {

// The proxy that one request goes through. A value. Thread-compatible.
struct Proxy {
  std::string text;           // as libcurl takes it, with its credentials: never printed
  bool forwards = false;      // takes a request for http:// with the whole URL in it
  bool tls = false;           // is itself spoken to over TLS
  std::string authorization;  // what a forwarded request says to the proxy; empty: nothing
};

// Which proxy, by curl's rules: the options', else http_proxy or https_proxy by the URL's scheme,
// else all_proxy; none for a host that no_proxy names: "*", a name with all below it, an address
// or an address with /bits. All but http_proxy may be in upper case too: HTTP_PROXY is what a
// request's "Proxy" header becomes in a CGI program. The environment is read once.
// Thread-compatible.
class ProxyChoice {
 public:
  explicit ProxyChoice(const HttpClientOptions& options);

  // Nothing: none. kInvalid: what is set cannot be a proxy.
  base::Result<std::optional<Proxy>> choose(const Url& url) const;

 private:
  std::string http_;
  std::string https_;
  std::string no_proxy_;
};

// Does the list `no_proxy` name `host`, lower case, IPv6 in brackets?
bool is_named_in(std::string_view no_proxy, std::string_view host);

}  // namespace weighbridge::net
