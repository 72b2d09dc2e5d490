#include "net/http_client.h"

#include <utility>

#include <curl/curl.h>
#include <fmt/format.h>

#include "base/text.h"
#include "net/answer.h"
#include "net/connection.h"
#include "net/http_fields.h"
#include "net/url.h"
#include "sync/guarded.h"

namespace weighbridge::net {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr int kRedirectLimit = 10;
constexpr std::size_t kIdleConnectionsLimit = 64;

// Connections between requests, the last used first: its sockets are the likeliest to be alive.
// Thread-safe.
class ConnectionPool {
 public:
  explicit ConnectionPool(const HttpClientOptions& options) : options_(options) {}

  Result<std::unique_ptr<Connection>> take() {
    auto idle = idle_.with([](Idle& connections) -> std::unique_ptr<Connection> {
      if (connections.empty()) {
        return nullptr;
      }
      auto last = std::move(connections.back());
      connections.pop_back();
      return last;
    });
    if (idle) {
      return idle;
    }
    return Connection::open(options_);
  }

  void put_back(std::unique_ptr<Connection> connection) {
    idle_.with([&](Idle& connections) {
      if (connections.size() < kIdleConnectionsLimit) {
        connections.push_back(std::move(connection));
      }
    });
  }

 private:
  using Idle = std::vector<std::unique_ptr<Connection>>;
  const HttpClientOptions& options_;  // the client's
  sync::Guarded<Idle> idle_;
};

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool names_own_header(const std::vector<HttpHeader>& headers) {
  for (const HttpHeader& header : headers) {
    const std::string name = base::to_lower(header.name);
    if (name == "range" || name == "accept-encoding") {
      return true;
    }
  }
  return false;
}

Result<void> check_request(const HttpGet& request) {
  if (request.range && request.range->empty()) {
    return Error(Code::kInvalid, "the range is empty");
  }
  for (const auto* headers : {&request.headers, &request.credentials}) {
    for (const HttpHeader& header : *headers) {
      if (!is_sendable(header)) {
        return Error(Code::kInvalid, "a header that cannot be sent as it is");
      }
    }
    if (names_own_header(*headers)) {
      return Error(Code::kInvalid, "Range and Accept-Encoding are the client's own headers");
    }
  }
  return {};
}

// What is sent to `url`; credentials only where they belong.
Outgoing outgoing(const HttpGet& request, const Url& first, const Url& url, bool trusted) {
  Outgoing hop;
  hop.url = url.text;
  hop.headers = request.headers;
  if (request.range) {
    hop.headers.push_back(
        {"Range", fmt::format("bytes={}-{}", request.range->begin, request.range->end - 1)});
  }
  if (trusted) {
    hop.headers.insert(hop.headers.end(), request.credentials.begin(), request.credentials.end());
    hop.user = first.user;
    hop.password = first.password;
  }
  return hop;
}

Error named(Error error, std::string_view url) {
  const std::string printed = printable_url(url);
  return std::move(error).context("GET " + printed).in_file(printed);
}

// Thread-safe: what it holds is the pool and what never changes.
class CurlClient final : public HttpClient {
 public:
  explicit CurlClient(HttpClientOptions options) : options_(std::move(options)), pool_(options_) {}

  Result<HttpHead> get(const base::Call& call,
                       const HttpGet& request,
                       base::BodySink& sink) override {
    auto checked = check_request(request);
    if (!checked.ok()) {
      return named(std::move(checked).error(), request.url);
    }
    const Url first = TRY(parse_url(request.url));
    auto connection = TRY(pool_.take());
    auto head = follow(call, request, first, *connection, sink);
    pool_.put_back(std::move(connection));
    return head;
  }

 private:
  static Result<HttpHead> follow(const base::Call& call,
                                 const HttpGet& request,
                                 const Url& first,
                                 Connection& connection,
                                 base::BodySink& sink) {
    Url url = first;
    bool trusted = true;
    for (int redirects = 0;; ++redirects) {
      Answer answer(request, call.clock().wall_now(), sink);
      const Outgoing hop = outgoing(request, first, url, trusted);
      auto head = answer.finish(connection.perform(call, hop, answer));
      if (!head.ok()) {
        auto error = std::move(head).error();
        return answer.sink_failed() ? std::move(error) : named(std::move(error), url.text);
      }
      const std::string_view location = head->header("location");
      if (!is_redirect(head->status) || location.empty()) {
        return head;
      }
      if (redirects == kRedirectLimit) {
        return named(Error(Code::kInvalid, fmt::format("more than {} redirects", kRedirectLimit)),
                     request.url);
      }
      auto next = resolve_redirect(url, location);
      if (!next.ok()) {
        return std::move(next).error().context("a redirect of " + printable_url(url.text));
      }
      url = std::move(next).value();
      // Once away, for good: who sent us elsewhere could otherwise send us back with our token.
      trusted = trusted && url.origin == first.origin;
    }
  }

  const HttpClientOptions options_;
  ConnectionPool pool_;
};

Code code_of_status(int status) {
  switch (status) {
    case 401:
    case 403:
    case 407:
      return Code::kDenied;
    case 404:
    case 410:
      return Code::kNotFound;
    case 408:
    case 504:
      return Code::kTimedOut;
    case 412:
      return Code::kConflict;
    case 416:
      return Code::kInvalid;
    case 429:
      return Code::kBusy;
    default:
      return status >= 500 && status <= 599 ? Code::kUnavailable : Code::kUnsupported;
  }
}

}  // namespace

std::string_view HttpHead::header(std::string_view name) const {
  for (const HttpHeader& header : headers) {
    if (header.name == name) {
      return header.value;
    }
  }
  return {};
}

base::Error http_error(const HttpHead& head, std::string_view url) {
  auto error = named(
      Error(code_of_status(head.status), fmt::format("the server answered {}", head.status)), url);
  return head.retry_after ? std::move(error).with_retry_after(*head.retry_after) : std::move(error);
}

std::unique_ptr<HttpClient> make_http_client(HttpClientOptions options) {
  // Once for the process, before the first handle: libcurl asks for it.
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  WB_CHECK(ready == CURLE_OK, "libcurl cannot be initialised");
  return std::make_unique<CurlClient>(std::move(options));
}

}  // namespace weighbridge::net
