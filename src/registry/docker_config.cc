#include "registry/docker_config.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/json.h"
#include "base/json_writer.h"
#include "base/text.h"
#include "net/http_fields.h"
#include "registry/reference.h"

namespace weighbridge::registry {
namespace {

using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;

constexpr std::size_t kConfigBytes = std::size_t{1024} * 1024;
constexpr std::string_view kDockerHubKey = "https://index.docker.io/v1/";

// "https://host:port/v1/" -> "host:port".
std::string host_of_key(std::string_view key) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (key.starts_with(scheme)) {
      key.remove_prefix(scheme.size());
    }
  }
  return canonical_host(key.substr(0, key.find('/')));
}

Error malformed(std::string_view member) {
  return {Code::kInvalid, fmt::format("{} is malformed", member)};
}

// `auth` is base64 of user:password. Docker pads short ones with NULs.
Result<void> take_auth(Credential& credential, std::string_view auth) {
  if (auth.empty()) {
    return {};
  }
  auto plain = base64_decoded(auth);
  if (!plain) {
    return malformed("auth");
  }
  const std::size_t colon = plain->find(':');
  if (colon == std::string::npos) {
    return malformed("auth");
  }
  plain->erase(plain->find_last_not_of('\0') + 1);
  credential.user = plain->substr(0, colon);
  credential.password = Secret(colon < plain->size() ? plain->substr(colon + 1) : std::string());
  return {};
}

Result<Credential> read_entry(const JsonValue& value) {
  Credential credential;
  TRY(value.each_member([&](std::string_view key, const JsonValue& member) -> Result<void> {
    if (key == "auth") {
      return take_auth(credential, TRY(member.as_string()));
    }
    if (key == "username") {
      credential.user = TRY(member.as_string());
    } else if (key == "password") {
      credential.password = Secret(std::string(TRY(member.as_string())));
    } else if (key == "identitytoken") {
      credential.identity_token = Secret(std::string(TRY(member.as_string())));
    } else if (key == "registrytoken") {
      credential.registry_token = Secret(std::string(TRY(member.as_string())));
    }
    return {};
  }));
  return credential;
}

bool says_nothing(const Credential& credential) {
  return credential.user.empty() && credential.identity_token.empty() &&
         credential.registry_token.empty();
}

std::string entry_json(const Credential& credential) {
  std::string text;
  base::JsonWriter json(text);
  json.begin_object();
  json.key("auth");
  json.text(credential.user.empty()
                ? std::string()
                : net::basic_credentials(credential.user, credential.password.reveal()));
  if (!credential.identity_token.empty()) {
    json.key("identitytoken");
    json.text(credential.identity_token.reveal());
  }
  json.end_object();
  return text;
}

template <typename Read>
Result<void> in_member(std::string_view member, Read&& read) {
  Result<void> result = read();
  return result.ok()
             ? std::move(result)
             : Result<void>(std::move(result).error().context(base::printable(member, 128)));
}

}  // namespace

std::string docker_server_key(const std::string& host) {
  return host == "docker.io" ? std::string(kDockerHubKey) : host;
}

std::optional<std::string> base64_decoded(std::string_view text) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.size() % 4 != 0) {
    return std::nullopt;
  }
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') {
    ++padding;
  }
  text.remove_suffix(padding);
  std::string plain;
  std::uint32_t bits = 0;
  unsigned held = 0;
  for (const char c : text) {
    const std::size_t value = kAlphabet.find(c);
    if (value == std::string_view::npos) {
      return std::nullopt;
    }
    bits = bits << 6U | static_cast<std::uint32_t>(value);
    held += 6;
    if (held >= 8) {
      held -= 8;
      plain += static_cast<char>(bits >> held & 0xFFU);
    }
  }
  return plain;
}

Result<DockerConfig> DockerConfig::parse(std::string_view json) {
  if (json.size() > kConfigBytes) {
    return Error(Code::kInvalid, "larger than 1 MiB");
  }
  auto document = base::JsonDocument::parse(json);
  if (!document.ok()) {
    return std::move(document).error().with_code(Code::kInvalid);
  }
  DockerConfig config;
  const auto read_auth = [&](std::string_view key, const JsonValue& value) {
    return in_member(key, [&]() -> Result<void> {
      Credential credential = TRY(read_entry(value));
      auto known = says_nothing(credential) ? std::nullopt : std::optional(std::move(credential));
      config.auths_.push_back({std::string(key), host_of_key(key), value.text(), std::move(known)});
      return {};
    });
  };
  const auto read_helper = [&](std::string_view key, const JsonValue& value) {
    return in_member(key, [&]() -> Result<void> {
      config.helpers_.emplace_back(host_of_key(key), TRY(value.as_string()));
      return {};
    });
  };
  TRY(document->root().each_member([&](std::string_view key, const JsonValue& value) {
    return in_member(key, [&]() -> Result<void> {
      if (key == "auths") {
        return value.is_null() ? Result<void>() : value.each_member(read_auth);
      }
      config.others_.emplace_back(key, value.text());
      if (key == "credHelpers" && !value.is_null()) {
        return value.each_member(read_helper);
      }
      if (key == "credsStore" && !value.is_null()) {
        config.store_ = TRY(value.as_string());
      }
      return {};
    });
  }));
  return config;
}

std::optional<Credential> DockerConfig::find(const std::string& host) const {
  for (const Entry& entry : auths_) {
    if (entry.host == host && entry.credential) {
      return entry.credential;
    }
  }
  return std::nullopt;
}

std::optional<std::string> DockerConfig::helper(const std::string& host) const {
  for (const auto& [helped, name] : helpers_) {
    if (helped == host) {
      return name;
    }
  }
  return store_.empty() ? std::nullopt : std::optional(store_);
}

void DockerConfig::set(const std::string& host, const Credential& credential) {
  erase(host);
  auths_.push_back({docker_server_key(host), host, entry_json(credential), credential});
}

bool DockerConfig::erase(const std::string& host) {
  return std::erase_if(auths_, [&](const Entry& entry) { return entry.host == host; }) > 0;
}

std::string DockerConfig::text() const {
  std::string text;
  base::JsonWriter json(text);
  json.begin_object();
  json.key("auths");
  json.begin_object();
  for (const Entry& entry : auths_) {
    json.key(entry.key);
    json.json(entry.json);
  }
  json.end_object();
  for (const auto& [member, value] : others_) {
    json.key(member);
    json.json(value);
  }
  json.end_object();
  return text + "\n";
}

}  // namespace weighbridge::registry
