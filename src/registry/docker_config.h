#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "registry/secret.h"

namespace weighbridge::registry {

// Docker's `config.json` as a value: what it says of credentials, everything else kept as it is.
// Hosts are looked up in the one form of canonical_host(); the file writes them in several
// ("https://index.docker.io/v1/"). Thread-compatible.
class DockerConfig {
 public:
  // At most 1 MiB. kInvalid names the member that is of the wrong type or malformed, never its
  // value.
  static base::Result<DockerConfig> parse(std::string_view json);

  // Under `auths`, in the file itself.
  std::optional<Credential> find(const std::string& host) const;
  // The name of the helper that keeps this host's: of `credHelpers`, else `credsStore`.
  std::optional<std::string> helper(const std::string& host) const;

  void set(const std::string& host, const Credential& credential);
  // False if there was nothing.
  bool erase(const std::string& host);

  // The file again: the same members and values, in another layout.
  std::string text() const;

 private:
  struct Entry {
    std::string key;   // as the file has it
    std::string host;  // canonical
    std::string json;
    std::optional<Credential> credential;
  };

  std::vector<std::pair<std::string, std::string>> others_;  // member, JSON
  std::vector<Entry> auths_;
  std::vector<std::pair<std::string, std::string>> helpers_;  // host, name
  std::string store_;
};

// The key under which Docker and its helpers keep the credential of a host.
std::string docker_server_key(const std::string& host);

// RFC 4648 with padding; nothing if it is none.
std::optional<std::string> base64_decoded(std::string_view text);

}  // namespace weighbridge::registry
