#include "net/proxy.h"

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace weighbridge::net {
namespace {

using base::Code;

// Every variable of a proxy as given here, and as it was afterwards.
class Environment {
 public:
  explicit Environment(const std::vector<std::pair<std::string, std::string>>& variables = {}) {
    for (const char* name : {"http_proxy",
                             "HTTP_PROXY",
                             "https_proxy",
                             "HTTPS_PROXY",
                             "all_proxy",
                             "ALL_PROXY",
                             "no_proxy",
                             "NO_PROXY"}) {
      const char* value = std::getenv(name);
      before_.emplace_back(name, value == nullptr ? "" : value);
      ::unsetenv(name);
    }
    for (const auto& [name, value] : variables) {
      ::setenv(name.c_str(), value.c_str(), 1);
    }
  }

  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  ~Environment() {
    for (const auto& [name, value] : before_) {
      if (value.empty()) {
        ::unsetenv(name.c_str());
      } else {
        ::setenv(name.c_str(), value.c_str(), 1);
      }
    }
  }

 private:
  std::vector<std::pair<std::string, std::string>> before_;
};

// The proxy's text, or "-" for none.
std::string chosen(std::string_view url, const HttpClientOptions& options = {}) {
  const auto proxy = ProxyChoice(options).choose(parse_url(url).value());
  EXPECT_TRUE(proxy.ok());
  return proxy.ok() && *proxy ? (*proxy)->text : "-";
}

TEST(Proxy, TheEnvironmentSaysItByTheSchemeOfTheUrl) {
  const Environment with(
      {{"http_proxy", "http://a:1"}, {"HTTPS_PROXY", "http://b:2"}, {"all_proxy", "http://c:3"}});
  EXPECT_EQ(chosen("http://host/"), "http://a:1");
  EXPECT_EQ(chosen("https://host/"), "http://b:2");
}

TEST(Proxy, AllProxyIsForWhatNothingElseNames) {
  const Environment with({{"ALL_PROXY", "socks5h://c:3"}, {"https_proxy", "b:2"}});
  EXPECT_EQ(chosen("http://host/"), "socks5h://c:3");
  EXPECT_EQ(chosen("https://host/"), "http://b:2");
}

TEST(Proxy, TheUpperCaseNameThatAStrangerCanSetIsNotRead) {
  const Environment with({std::pair{"HTTP_PROXY", "http://evil:1"}});
  EXPECT_EQ(chosen("http://host/"), "-");
}

TEST(Proxy, TheOptionsComeBeforeTheEnvironment) {
  const Environment with({{"http_proxy", "http://a:1"}, {"no_proxy", "*"}});
  HttpClientOptions options;
  options.proxy = "http://mine:1";
  EXPECT_EQ(chosen("http://host/", options), "-");
  options.no_proxy = "elsewhere";
  EXPECT_EQ(chosen("http://host/", options), "http://mine:1");
}

TEST(Proxy, NoProxyNamesHostsDomainsAddressesAndNetworks) {
  for (const auto& [list, host] :
       std::vector<std::pair<std::string, std::string>>{{"*", "any"},
                                                        {"host", "host"},
                                                        {"a, host ,b", "host"},
                                                        {"HOST", "host"},
                                                        {".example.com", "example.com"},
                                                        {".example.com", "a.example.com"},
                                                        {"example.com.", "a.b.example.com."},
                                                        {"10.0.0.0/8", "10.1.2.3"},
                                                        {"10.1.2.3", "10.1.2.3"},
                                                        {"192.168.128.0/17", "192.168.200.1"},
                                                        {"[::1]", "[::1]"},
                                                        {"fe80::/10", "[fe80::1]"}}) {
    EXPECT_TRUE(is_named_in(list, host)) << list << " " << host;
  }
  for (const auto& [list, host] :
       std::vector<std::pair<std::string, std::string>>{{"", "host"},
                                                        {",", "host"},
                                                        {".", "host"},
                                                        {"example.com", "badexample.com"},
                                                        {"a.example.com", "example.com"},
                                                        {"10.0.0.0/8", "11.0.0.1"},
                                                        {"10.0.0.0/33", "10.0.0.1"},
                                                        {"10.0.0.0/x", "10.0.0.1"},
                                                        {"192.168.128.0/17", "192.168.1.1"},
                                                        {"0.0.1", "10.0.0.1"},
                                                        {"::/0", "10.0.0.1"}}) {
    EXPECT_FALSE(is_named_in(list, host)) << list << " " << host;
  }
}

TEST(Proxy, ItsCredentialsAreForItAlone) {
  const Environment none;
  HttpClientOptions options;
  options.proxy = "me:s%40crt@proxy:3128";
  const auto proxy = ProxyChoice(options).choose(parse_url("http://host/").value());
  ASSERT_TRUE(proxy.ok() && *proxy);
  EXPECT_EQ((*proxy)->authorization, "Basic bWU6c0BjcnQ=");
  EXPECT_TRUE((*proxy)->forwards);
  EXPECT_FALSE((*proxy)->tls);
}

TEST(Proxy, WhatCannotBeOneIsInvalidAndNotQuoted) {
  const Environment none;
  for (const std::string text : {"ftp://me:c4n4ry@proxy:1", "http://me:c4n4ry@proxy:99999"}) {
    HttpClientOptions options;
    options.proxy = text;
    const auto proxy = ProxyChoice(options).choose(parse_url("http://host/").value());
    ASSERT_FALSE(proxy.ok());
    EXPECT_EQ(proxy.error().code(), Code::kInvalid);
    EXPECT_EQ(proxy.error().message().find("c4n4ry"), std::string::npos);
  }
}

}  // namespace
}  // namespace weighbridge::net
