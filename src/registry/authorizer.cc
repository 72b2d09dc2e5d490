// How a registry lets us in. A request goes out with what is known; a 401 names a scheme. For
// Basic the user's password goes with every request from then on. For Bearer the registry names a
// token service (realm) and itself (service); we ask that service for a token of the scopes that
// the request needs, with the user's credential if there is one, and send that. From then on
// tokens are fetched before requests, so that a 401 is met once, and again only if a token dies
// early.

#include "registry/authorizer.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "net/http_fields.h"
#include "net/url.h"
#include "registry/answer_error.h"

namespace weighbridge::registry {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;

constexpr int kRedirectLimit = 10;
constexpr std::size_t kTokenAnswerBytes = std::size_t{256} * 1024;
constexpr std::size_t kLongestToken = std::size_t{48} * 1024;  // it is sent in one header
constexpr std::size_t kMaxTokens = 1024;
constexpr std::uint64_t kDefaultLifeSeconds = 60;  // what the token protocol says
constexpr std::uint64_t kLongestLifeSeconds = 24 * 3600;

std::string scope_key(const Scopes& scopes) {
  Scopes sorted = scopes;
  std::sort(sorted.begin(), sorted.end());
  return fmt::format("{}", fmt::join(sorted, " "));
}

// The challenge of the scheme we like best.
std::optional<Challenge> choose(const net::HttpHead& head) {
  std::optional<Challenge> chosen;
  for (const net::HttpHeader& header : head.headers) {
    if (header.name != "www-authenticate") {
      continue;
    }
    for (Challenge& challenge : parse_challenges(header.value)) {
      const bool bearer = challenge.scheme == "bearer" && !challenge.parameter("realm").empty();
      if (bearer) {
        return std::move(challenge);
      }
      if (challenge.scheme == "basic") {
        chosen = std::move(challenge);
      }
    }
  }
  return chosen;
}

struct TokenAnswer {
  std::string token;
  std::uint64_t life_seconds = kDefaultLifeSeconds;
};

Result<TokenAnswer> read_token(std::string_view body) {
  const auto document = TRY(base::JsonDocument::parse(body));
  TokenAnswer answer;
  TRY(document.root().each_member(
      [&](std::string_view key, const JsonValue& value) -> Result<void> {
        if ((key == "token" || key == "access_token") && answer.token.empty() && !value.is_null()) {
          answer.token = TRY(value.as_string());
        } else if (key == "expires_in" && !value.is_null()) {
          // Some say it as a fraction; what is no number of seconds keeps the default.
          const auto seconds = value.as_u64();
          answer.life_seconds = seconds.ok() ? seconds.value() : kDefaultLifeSeconds;
        }
        return {};
      }));
  answer.life_seconds = std::min(answer.life_seconds, kLongestLifeSeconds);
  return answer;
}

// The service's own error would be the only text here that may repeat what we sent, so it is not
// passed on.
Error malformed_token(const std::string& realm) {
  return {Code::kCorrupt,
          fmt::format("the token service {} sent no usable token", net::printable_url(realm))};
}

bool is_usable(const std::string& token) {
  return !token.empty() && token.size() <= kLongestToken &&
         net::is_sendable({"authorization", token}) && token.find(' ') == std::string::npos;
}

}  // namespace

std::string pull_scope(const std::string& repository) {
  return fmt::format("repository:{}:pull", repository);
}

std::string push_scope(const std::string& repository) {
  return fmt::format("repository:{}:pull,push", repository);
}

std::string delete_scope(const std::string& repository) {
  return fmt::format("repository:{}:delete", repository);
}

std::string query_encoded(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~").find(c) != std::string_view::npos;
    encoded += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return encoded;
}

Result<net::HttpReply> send_following(const Call& call,
                                      net::HttpClient& http,
                                      net::HttpSend request) {
  const net::Url first = TRY(net::parse_url(request.url));
  for (int redirects = 0;; ++redirects) {
    auto reply = TRY(http.send(call, request));
    const std::string_view location = reply.head.header("location");
    const int status = reply.head.status;
    const bool moved =
        status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    if (!moved || location.empty() || request.body != nullptr) {
      return reply;
    }
    if (redirects == kRedirectLimit) {
      return Error(Code::kInvalid, fmt::format("more than {} redirects", kRedirectLimit))
          .in_file(net::printable_url(first.text));
    }
    const net::Url next = TRY(net::resolve_redirect(TRY(net::parse_url(request.url)), location));
    request.url = next.text;
    // Once away, for good: who sent us elsewhere could otherwise send us back with our token.
    if (next.origin != first.origin) {
      request.credentials.clear();
    }
  }
}

Authorizer::Authorizer(std::string host, bool tls, net::HttpClient& http, Credentials& credentials)
    : host_(std::move(host)), tls_(tls), http_(http), credentials_(credentials) {}

Result<std::string> Authorizer::authorization(const Call& call, const Scopes& scopes) {
  const auto [way, registry_token] = state_.with([](const State& state) {
    const bool has = state.credential && !state.credential->registry_token.empty();
    return std::pair(state.way, has ? state.credential->registry_token.reveal() : std::string());
  });
  if (!registry_token.empty()) {
    return "Bearer " + registry_token;
  }
  switch (way) {
    case Way::kUnknown:
      return std::string();
    case Way::kBasic:
      return basic(call, {});
    case Way::kBearer:
      return bearer(call, scopes);
  }
  return std::string();
}

Result<std::string> Authorizer::renew(const Call& call,
                                      const net::HttpHead& refused,
                                      const Scopes& scopes,
                                      const std::string& used) {
  const auto challenge = choose(refused);
  if (!challenge) {
    return denied(scopes, !used.empty());
  }
  const auto known = TRY(credential(call));
  if (known && !known->registry_token.empty()) {
    std::string given = "Bearer " + known->registry_token.reveal();
    if (given == used) {
      return denied(scopes, true);
    }
    return given;
  }
  if (challenge->scheme == "basic") {
    state_.with([](State& state) { state.way = Way::kBasic; });
    return basic(call, used);
  }
  const std::string key = scope_key(scopes);
  state_.with([&](State& state) {
    state.way = Way::kBearer;
    state.realm = challenge->parameter("realm");
    state.service = challenge->parameter("service");
    const auto found = state.tokens.find(key);
    // Another thread may have renewed it while our request was under way.
    if (found != state.tokens.end() && found->second.authorization == used) {
      state.tokens.erase(found);
    }
  });
  return bearer(call, scopes);
}

std::vector<std::string> Authorizer::secrets() const {
  return state_.with([](const State& state) {
    std::vector<std::string> secrets;
    for (const auto& [key, token] : state.tokens) {
      secrets.push_back(token.authorization.substr(token.authorization.find(' ') + 1));
    }
    if (const auto& credential = state.credential) {
      for (const Secret* secret :
           {&credential->password, &credential->identity_token, &credential->registry_token}) {
        secrets.push_back(secret->reveal());
      }
      secrets.push_back(net::basic_credentials(credential->user, credential->password.reveal()));
    }
    return secrets;
  });
}

Result<std::optional<Credential>> Authorizer::credential(const Call& call) {
  const auto [asked, known] = state_.with(
      [](const State& state) { return std::pair(state.asked_credential, state.credential); });
  if (asked) {
    return known;
  }
  auto found = TRY(credentials_.find(call, host_));
  state_.with([&](State& state) {
    state.asked_credential = true;
    state.credential = found;
  });
  return found;
}

Result<std::string> Authorizer::basic(const Call& call, const std::string& used) {
  const auto known = TRY(credential(call));
  if (!known || known->user.empty()) {
    return denied({}, false);
  }
  std::string header = "Basic " + net::basic_credentials(known->user, known->password.reveal());
  if (header == used) {
    return denied({}, true);
  }
  return header;
}

std::optional<std::string> Authorizer::kept_token(const Call& call, const std::string& key) const {
  return state_.with([&](const State& state) {
    const auto found = state.tokens.find(key);
    const bool fresh = found != state.tokens.end() && call.clock().now() < found->second.renew_at;
    return fresh ? std::optional(found->second.authorization) : std::nullopt;
  });
}

Result<std::string> Authorizer::bearer(const Call& call, const Scopes& scopes) {
  const std::string key = scope_key(scopes);
  if (auto kept = kept_token(call, key)) {
    return std::move(*kept);
  }
  return fetching_.run(call, key, [&]() -> Result<std::string> {
    // It may have come between our look and our turn.
    auto kept = kept_token(call, key);
    return kept ? Result<std::string>(std::move(*kept)) : fetch_token(call, scopes);
  });
}

Result<std::string> Authorizer::fetch_token(const Call& call, const Scopes& scopes) {
  const auto known = TRY(credential(call));
  State asked;
  state_.with([&](const State& state) {
    asked.realm = state.realm;
    asked.service = state.service;
  });
  const base::TimePoint began = call.clock().now();
  const net::HttpReply reply = TRY(ask_service(call, asked, scopes, known));
  const int status = reply.head.status;
  if (status == 401 || status == 403) {
    return denied(scopes, known.has_value());
  }
  if (status != 200) {
    return net::http_error(reply.head, asked.realm).context("asking for a token");
  }
  auto answer = read_token(reply.body);
  if (!answer.ok() || !reply.body_complete || !is_usable(answer->token)) {
    return malformed_token(asked.realm);
  }
  // Renewed when a quarter of its life is left: a request must not outlive its token's welcome.
  const auto life = std::chrono::milliseconds(answer->life_seconds * 750);
  Token token{"Bearer " + answer->token, began + life};
  state_.with([&](State& state) {
    if (state.tokens.size() >= kMaxTokens) {
      state.tokens.clear();
    }
    state.tokens.insert_or_assign(scope_key(scopes), token);
  });
  return token.authorization;
}

Result<net::HttpReply> Authorizer::ask_service(const Call& call,
                                               const State& state,
                                               const Scopes& scopes,
                                               const std::optional<Credential>& credential) {
  const net::Url realm = TRY(net::parse_url(state.realm));
  if (tls_ && !realm.tls) {
    return Error(
        Code::kDenied,
        fmt::format(
            "{} names a token service without TLS: {}", host_, net::printable_url(state.realm)));
  }
  std::string parameters = "service=" + query_encoded(state.service);
  net::HttpSend request;
  request.answer_limit = kTokenAnswerBytes;
  if (credential && !credential->identity_token.empty()) {
    parameters += "&grant_type=refresh_token&client_id=weighbridge&scope=" +
                  query_encoded(scope_key(scopes)) +
                  "&refresh_token=" + query_encoded(credential->identity_token.reveal());
    base::MemoryBody body(std::as_bytes(std::span(parameters)));
    request.method = "POST";
    request.url = realm.text;
    request.headers = {{"Content-Type", "application/x-www-form-urlencoded"}};
    request.body = &body;
    return http_.send(call, request);
  }
  for (const std::string& scope : scopes) {
    parameters += "&scope=" + query_encoded(scope);
  }
  request.method = "GET";
  request.url = realm.text + (realm.text.find('?') == std::string::npos ? "?" : "&") + parameters;
  if (credential && !credential->user.empty()) {
    request.credentials = {
        {"Authorization",
         "Basic " + net::basic_credentials(credential->user, credential->password.reveal())}};
  }
  return send_following(call, http_, std::move(request));
}

Error Authorizer::denied(const Scopes& scopes, bool had_credential) const {
  std::string what =
      fmt::format("{} does not let {} in", host_, had_credential ? "this user" : "an unknown user");
  if (!scopes.empty()) {
    what += fmt::format(" for {}", scope_key(scopes));
  }
  const std::string login = fmt::format("weighbridge login {}", host_);
  return Error(Code::kDenied, what)
      .in_file(host_)
      .with_hint(had_credential ? fmt::format("Check the user's rights, or use `{}` again.", login)
                                : fmt::format("Log in first: `{}`.", login));
}

}  // namespace weighbridge::registry
