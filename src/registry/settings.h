#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/http_client.h"
#include "registry/capabilities.h"

namespace weighbridge::registry {

// How one registry is to be spoken to. Nothing here holds for any other: a registry whose
// certificate is not checked makes none of the others careless. A value. Thread-compatible.
struct Settings {
  std::optional<bool> plain_http;  // absent: only for a loopback host
  bool insecure = false;           // its certificate is not verified
  std::string ca_file;             // PEM, then trusted alone
  std::string client_cert_file;    // PEM
  std::string client_key_file;     // PEM; empty: the key stands in the certificate's file
  std::string proxy;
  std::vector<net::HttpHeader> headers;  // sent to it alone, as credentials are
  std::vector<std::string> resolve;      // "host:port:address"
  // What overrides the table and what was learned: the JSON object as text; empty: nothing.
  std::string capabilities;
};

using SettingsByHost = std::map<std::string, Settings, std::less<>>;

// Reads `registries.json`: {"registries": {"host:port": {"plain_http": true, "insecure": true,
// "ca_file": "...", "client_cert": "...", "client_key": "...", "proxy": "...", "headers":
// {"name": "value"}, "resolve": ["host:port:address"], "capabilities": {...}}}}.
// kInvalid names the registry and the member that is unknown, twice there or of the wrong type.
base::Result<SettingsByHost> parse_settings(std::string_view json);

}  // namespace weighbridge::registry
