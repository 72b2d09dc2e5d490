#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "io/file_system.h"
#include "net/http_client.h"
#include "registry/client.h"
#include "registry/credentials.h"
#include "registry/settings.h"

namespace weighbridge::registry {

// Every registry the program speaks to, each with its own HTTP client, settings and what was
// learned of it. Thread-safe.
class Registries {
 public:
  struct Options {
    // Where `registries.json` (the user's) and `registries-learned.json` (ours) lie; empty:
    // neither is read nor written.
    std::string home;
    // From the command line; each replaces the file's for that host as a whole.
    SettingsByHost settings;
    std::function<std::unique_ptr<net::HttpClient>(net::HttpClientOptions)> make_http =
        net::make_http_client;
  };

  // kInvalid: registries.json is not what parse_settings() reads. A learned file that cannot be
  // read is begun anew. Borrows `files` and `credentials`, which outlive it.
  static base::Result<std::unique_ptr<Registries>> open(io::FileSystem& files,
                                                        Credentials& credentials,
                                                        Options options);
  Registries(const Registries&) = delete;
  Registries& operator=(const Registries&) = delete;
  ~Registries();

  // The client of that host, the same for every call; lives as long as this.
  base::Result<Client*> at(const std::string& host);

  Credentials& credentials();

  // Options::home.
  const std::string& home() const;

  // Changes how one registry is spoken to, from what the file says of it, before it is asked for.
  // kInvalid: that is no host, or its client exists already.
  base::Result<void> adjust(const std::string& host, const std::function<void(Settings&)>& change);

  // Does the registry let this one in? kDenied if not. Nothing is stored.
  base::Result<void> try_login(const base::Call& call,
                               const std::string& host,
                               const Credential& credential);

  // Writes down what was learned, where it differs from what the file says. Once at the end of a
  // command; losing it costs some requests and nothing else.
  base::Result<void> remember();

 private:
  class Impl;
  explicit Registries(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

// Verifies the credential at the registry, then stores it. kDenied: it is not accepted, and
// nothing is stored.
base::Result<void> login(const base::Call& call,
                         Registries& registries,
                         const std::string& host,
                         const Credential& credential);
// Forgets it; false if there was none.
base::Result<bool> logout(const base::Call& call, Registries& registries, const std::string& host);

}  // namespace weighbridge::registry
