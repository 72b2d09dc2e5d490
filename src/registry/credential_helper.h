#pragma once

#include <optional>
#include <string>

#include "base/call.h"
#include "base/result.h"
#include "registry/credentials.h"
#include "registry/secret.h"

namespace weighbridge::registry {

// A program `docker-credential-<name>` that keeps credentials. It is found on $PATH, gets the few
// variables that name places and sessions and none that holds a secret, hears on its standard
// input and answers on its standard output; its standard error is thrown away. It is given 60 s
// and 64 KiB. No error repeats what it said. Thread-safe.
class CredentialHelper {
 public:
  // kInvalid: a name of other characters than letters, digits, '-', '_' and '.'.
  static base::Result<CredentialHelper> open(const std::string& name,
                                             const Environment& environment);

  // `server` is the key under which it keeps one: a host, or Docker Hub's old address.
  // kNotFound: there is no such program. kTimedOut, kCancelled: it was killed.
  base::Result<std::optional<Credential>> get(const base::Call& call,
                                              const std::string& server) const;
  base::Result<void> store(const base::Call& call,
                           const std::string& server,
                           const Credential& credential) const;
  base::Result<void> erase(const base::Call& call, const std::string& server) const;

 private:
  CredentialHelper(std::string program, const Environment& environment)
      : program_(std::move(program)), environment_(environment) {}

  base::Result<std::string> run(const base::Call& call,
                                const std::string& action,
                                const std::string& input) const;

  std::string program_;
  Environment environment_;
};

}  // namespace weighbridge::registry
