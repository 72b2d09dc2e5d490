#include "registry/settings.h"

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "net/http_fields.h"
#include "registry/reference.h"

namespace weighbridge::registry {
namespace {

using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;

constexpr std::size_t kMaxRegistries = 10'000;
constexpr std::size_t kMaxList = 64;

Result<std::string> text_of(const JsonValue& value) {
  return std::string(TRY(value.as_string()));
}

// A value may be a token, so that no error repeats it.
Result<std::vector<net::HttpHeader>> read_headers(const JsonValue& value) {
  std::vector<net::HttpHeader> headers;
  TRY(value.each_member([&](std::string_view name, const JsonValue& text) -> Result<void> {
    net::HttpHeader header{std::string(name), TRY(text_of(text))};
    if (!net::is_sendable(header) || headers.size() == kMaxList) {
      return Error(Code::kInvalid,
                   fmt::format("'{}' cannot be sent as a header", base::printable(name, 64)));
    }
    headers.push_back(std::move(header));
    return {};
  }));
  return headers;
}

// host:port:address
bool is_resolve(std::string_view text) {
  const std::size_t port = text.find(':');
  const std::size_t address = port == std::string_view::npos ? port : text.find(':', port + 1);
  return address != std::string_view::npos && address + 1 < text.size() &&
         is_host(text.substr(0, address));
}

Result<std::vector<std::string>> read_resolve(const JsonValue& value) {
  std::vector<std::string> list;
  TRY(value.each_element([&](const JsonValue& text) -> Result<void> {
    list.push_back(TRY(text_of(text)));
    if (!is_resolve(list.back()) || list.size() > kMaxList) {
      return Error(Code::kInvalid, "not a list of at most 64 host:port:address");
    }
    return {};
  }));
  return list;
}

// Checked now, so that a mistake is named before the first request.
Result<std::string> read_capabilities(const JsonValue& value) {
  Capabilities checked;
  TRY(override_capabilities(checked, value));
  return value.text();
}

Result<void> read_member(Settings& settings, std::string_view key, const JsonValue& value) {
  if (key == "plain_http") {
    settings.plain_http = TRY(value.as_bool());
  } else if (key == "insecure") {
    settings.insecure = TRY(value.as_bool());
  } else if (key == "ca_file") {
    settings.ca_file = TRY(text_of(value));
  } else if (key == "client_cert") {
    settings.client_cert_file = TRY(text_of(value));
  } else if (key == "client_key") {
    settings.client_key_file = TRY(text_of(value));
  } else if (key == "proxy") {
    settings.proxy = TRY(text_of(value));
  } else if (key == "headers") {
    settings.headers = TRY(read_headers(value));
  } else if (key == "resolve") {
    settings.resolve = TRY(read_resolve(value));
  } else if (key == "capabilities") {
    settings.capabilities = TRY(read_capabilities(value));
  } else {
    return Error(Code::kInvalid, "no such setting");
  }
  return {};
}

Result<Settings> read_settings(const JsonValue& object, std::string_view host) {
  Settings settings;
  TRY(object.each_member([&](std::string_view key, const JsonValue& value) -> Result<void> {
    auto read = read_member(settings, key, value);
    return read.ok() ? std::move(read)
                     : Result<void>(std::move(read).error().context(fmt::format(
                           "{}: {}", base::printable(host, 128), base::printable(key, 64))));
  }));
  return settings;
}

}  // namespace

Result<SettingsByHost> parse_settings(std::string_view json) {
  const auto document = TRY(base::JsonDocument::parse(json));
  SettingsByHost all;
  const auto read_registry = [&](std::string_view host, const JsonValue& object) -> Result<void> {
    if (!is_host(host) || all.size() == kMaxRegistries) {
      return Error(Code::kInvalid, fmt::format("'{}' is not a host", base::printable(host, 128)));
    }
    auto settings = TRY(read_settings(object, host));
    if (!all.emplace(canonical_host(host), std::move(settings)).second) {
      return Error(Code::kInvalid, fmt::format("{} is there twice", base::printable(host, 128)));
    }
    return {};
  };
  TRY(document.root().each_member([&](std::string_view key,
                                      const JsonValue& value) -> Result<void> {
    if (key != "registries") {
      return Error(Code::kInvalid, fmt::format("'{}': no such setting", base::printable(key, 64)));
    }
    return value.each_member(read_registry);
  }));
  return all;
}

}  // namespace weighbridge::registry
