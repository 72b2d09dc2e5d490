#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "net/http_client.h"
#include "registry/challenge.h"
#include "registry/credentials.h"
#include "sync/guarded.h"
#include "sync/single_flight.h"

namespace weighbridge::registry {

// What a request may do: "repository:org/model:pull,push", "registry:catalog:*". One that mounts
// has two. Thread-compatible.
using Scopes = std::vector<std::string>;

std::string pull_scope(const std::string& repository);
std::string push_scope(const std::string& repository);
std::string delete_scope(const std::string& repository);

// Answers one registry's challenges: none, Basic, or Bearer tokens from its token service, kept by
// scope and renewed when a quarter of their life is left. The same token wanted by many is fetched
// once. A token service must speak TLS where the registry does, or it gets no credential: kDenied.
// Thread-safe.
class Authorizer {
 public:
  // Borrows both, which outlive it. `tls`: the registry is spoken to over TLS.
  Authorizer(std::string host, bool tls, net::HttpClient& http, Credentials& credentials);

  // What to send with a request: what is known by now, without waiting to be asked where the
  // registry has asked before. Empty: nothing.
  base::Result<std::string> authorization(const base::Call& call, const Scopes& scopes);

  // A 401 answered a request that was sent with `used`: what to send instead. kDenied: there is
  // nothing better, with what to do.
  base::Result<std::string> renew(const base::Call& call,
                                  const net::HttpHead& refused,
                                  const Scopes& scopes,
                                  const std::string& used);

  // What must not be in a message: everything secret that has been sent.
  std::vector<std::string> secrets() const;

 private:
  enum class Way : std::uint8_t { kUnknown, kBasic, kBearer };

  struct Token {
    std::string authorization;  // "Bearer ..."
    base::TimePoint renew_at;
  };

  struct State {
    Way way = Way::kUnknown;
    std::string realm;
    std::string service;
    bool asked_credential = false;
    std::optional<Credential> credential;
    std::map<std::string, Token, std::less<>> tokens;  // by scopes, joined by a space
  };

  base::Result<std::optional<Credential>> credential(const base::Call& call);
  base::Result<std::string> basic(const base::Call& call, const std::string& used);
  base::Result<std::string> bearer(const base::Call& call, const Scopes& scopes);
  std::optional<std::string> kept_token(const base::Call& call, const std::string& key) const;
  base::Result<std::string> fetch_token(const base::Call& call, const Scopes& scopes);
  base::Result<net::HttpReply> ask_service(const base::Call& call,
                                           const State& state,
                                           const Scopes& scopes,
                                           const std::optional<Credential>& credential);
  base::Error denied(const Scopes& scopes, bool had_credential) const;

  const std::string host_;
  const bool tls_;
  net::HttpClient& http_;
  Credentials& credentials_;
  sync::Guarded<State> state_;
  sync::SingleFlight<std::string, std::string> fetching_;
};

// GET or HEAD, or a POST without a body, following at most 10 redirects; credentials go to the
// URL's own origin alone.
base::Result<net::HttpReply> send_following(const base::Call& call,
                                            net::HttpClient& http,
                                            net::HttpSend request);

// RFC 3986, 2.1: everything but letters, digits and -._~ is encoded.
std::string query_encoded(std::string_view text);

}  // namespace weighbridge::registry
