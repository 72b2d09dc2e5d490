#include "net/proxy.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <vector>

#include <arpa/inet.h>

#include <curl/curl.h>

#include "base/text.h"
#include "net/http_fields.h"

namespace weighbridge::net {
namespace {

using base::Code;
using base::Error;
using base::Result;

struct CloseUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

// The first of the options and the variables that says something.
std::string first_of(const std::string& option, std::initializer_list<const char*> variables) {
  if (!option.empty()) {
    return option;
  }
  for (const char* name : variables) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') {
      return value;
    }
  }
  return {};
}

// An address as its bytes, most significant first; empty if it is none.
std::vector<unsigned char> address_of(std::string_view text) {
  if (text.starts_with('[') && text.ends_with(']')) {
    text = text.substr(1, text.size() - 2);
  }
  const std::string name(text);
  std::array<unsigned char, 16> bytes{};
  if (::inet_pton(AF_INET, name.c_str(), bytes.data()) == 1) {
    return {bytes.begin(), bytes.begin() + 4};
  }
  if (::inet_pton(AF_INET6, name.c_str(), bytes.data()) == 1) {
    return {bytes.begin(), bytes.end()};
  }
  return {};
}

// "10.0.0.0/8", or an address alone.
bool is_in_network(const std::vector<unsigned char>& address, std::string_view network) {
  const std::size_t slash = network.find('/');
  const auto base = address_of(network.substr(0, slash));
  std::uint64_t bits = base.size() * 8;
  if (slash != std::string_view::npos) {
    bits = base::parse_decimal(network.substr(slash + 1)).value_or(bits + 1);
  }
  if (base.empty() || base.size() != address.size() || bits > base.size() * 8) {
    return false;
  }
  const std::size_t whole = bits / 8;
  const unsigned mask = 0xFFU & (0xFFU << (8 - bits % 8));
  return std::memcmp(base.data(), address.data(), whole) == 0 &&
         (bits % 8 == 0 || (base[whole] & mask) == (address[whole] & mask));
}

// A name, or one below it.
bool is_below(std::string_view host, std::string_view name) {
  while (name.starts_with('.')) {
    name.remove_prefix(1);
  }
  if (name.ends_with('.')) {
    name.remove_suffix(1);
  }
  if (name.empty() || !host.ends_with(name)) {
    return false;
  }
  return host.size() == name.size() || host[host.size() - name.size() - 1] == '.';
}

std::string part_of(CURLU* handle, CURLUPart part, unsigned flags) {
  char* text = nullptr;
  if (curl_url_get(handle, part, &text, flags) != CURLUE_OK) {
    return {};
  }
  std::string copy(text);
  curl_free(text);
  return copy;
}

}  // namespace

bool is_named_in(std::string_view no_proxy, std::string_view host) {
  if (host.ends_with('.')) {
    host.remove_suffix(1);
  }
  const auto address = address_of(host);
  while (!no_proxy.empty()) {
    const std::size_t end = std::min(no_proxy.find_first_of(", \t"), no_proxy.size());
    const std::string name = base::to_lower(no_proxy.substr(0, end));
    no_proxy.remove_prefix(std::min(end + 1, no_proxy.size()));
    const bool named = address.empty() ? is_below(host, name) : is_in_network(address, name);
    if (name == "*" || named) {
      return true;
    }
  }
  return false;
}

ProxyChoice::ProxyChoice(const HttpClientOptions& options)
    : http_(first_of(options.proxy, {"http_proxy", "all_proxy", "ALL_PROXY"})),
      https_(first_of(options.proxy, {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"})),
      no_proxy_(first_of(options.no_proxy, {"no_proxy", "NO_PROXY"})) {}

Result<std::optional<Proxy>> ProxyChoice::choose(const Url& url) const {
  const std::string& named = url.tls ? https_ : http_;
  if (named.empty() || is_named_in(no_proxy_, url.host)) {
    return std::optional<Proxy>();
  }
  Proxy proxy;
  proxy.text = named.find("://") == std::string::npos ? "http://" + named : named;
  const std::unique_ptr<CURLU, CloseUrl> handle(curl_url());
  const bool parsed =
      handle &&
      curl_url_set(handle.get(), CURLUPART_URL, proxy.text.c_str(), CURLU_NON_SUPPORT_SCHEME) ==
          CURLUE_OK;
  if (!parsed) {
    return Error(Code::kInvalid, "the proxy that is set is no URL")
        .with_hint("A proxy is written as http://host:port, also in http_proxy and its like.");
  }
  const std::string scheme = base::to_lower(part_of(handle.get(), CURLUPART_SCHEME, 0));
  proxy.tls = scheme == "https";
  proxy.forwards = proxy.tls || scheme == "http";
  if (!proxy.forwards && !scheme.starts_with("socks")) {
    return Error(Code::kInvalid, "the proxy that is set is of a kind we do not know")
        .with_hint("Proxies are http, https, socks4, socks4a, socks5 and socks5h.");
  }
  const std::string user = part_of(handle.get(), CURLUPART_USER, CURLU_URLDECODE);
  const std::string password = part_of(handle.get(), CURLUPART_PASSWORD, CURLU_URLDECODE);
  if (!user.empty() || !password.empty()) {
    proxy.authorization = "Basic " + basic_credentials(user, password);
  }
  return std::optional(std::move(proxy));
}

}  // namespace weighbridge::net
