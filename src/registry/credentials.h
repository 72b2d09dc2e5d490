#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/call.h"
#include "base/result.h"
#include "io/file_system.h"
#include "registry/secret.h"

namespace weighbridge::registry {

// Who we are at which registry. Thread-safe.
class Credentials {
 public:
  Credentials() = default;
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;
  virtual ~Credentials() = default;

  // Nothing if none are known: the registry is asked as anybody. May run a helper program.
  virtual base::Result<std::optional<Credential>> find(const base::Call& call,
                                                       const std::string& host) = 0;
  // Where they were kept before, or where the configuration says.
  virtual base::Result<void> store(const base::Call& call,
                                   const std::string& host,
                                   const Credential& credential) = 0;
  // False if there were none.
  virtual base::Result<bool> erase(const base::Call& call, const std::string& host) = 0;
};

// A variable of the environment, or nothing.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

Environment process_environment();

// The credentials in Docker's `config.json`, as docker, oras, skopeo and crane use them: `auths`,
// `credHelpers`, `credsStore`. `directory` is where it lies ($DOCKER_CONFIG, else $HOME/.docker);
// no file there means no credentials. What else the file holds is kept as it is. Secrets are
// written with mode 0600, or handed to the helper over its standard input. kInvalid: a file that
// is not what Docker documents, naming the member, never its value. Borrows `files`, which
// outlives it.
std::unique_ptr<Credentials> docker_credentials(io::FileSystem& files,
                                                std::string directory,
                                                Environment environment);

// $DOCKER_CONFIG, else $HOME/.docker; empty if neither is set.
std::string docker_config_directory(const Environment& environment);

}  // namespace weighbridge::registry
