#include "net/http_client.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include <curl/curl.h>
#include <fmt/format.h>

#include "base/text.h"
#include "net/answer.h"
#include "net/connection.h"
#include "net/http_fields.h"
#include "net/url.h"

namespace weighbridge::net {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr int kRedirectLimit = 10;

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// What frames a request, and what decides whether an answer can be read, is ours to say.
bool is_own_header(std::string_view name) {
  constexpr std::array<std::string_view, 7> kOwn = {"range",
                                                    "accept-encoding",
                                                    "host",
                                                    "connection",
                                                    "content-length",
                                                    "transfer-encoding",
                                                    "expect"};
  return std::find(kOwn.begin(), kOwn.end(), base::to_lower(name)) != kOwn.end();
}

Result<void> check_headers(const std::vector<HttpHeader>& headers) {
  for (const HttpHeader& header : headers) {
    if (!is_sendable(header)) {
      return Error(Code::kInvalid, "a header that cannot be sent as it is");
    }
    if (is_own_header(header.name)) {
      return Error(Code::kInvalid,
                   fmt::format("{} is the client's own header", base::printable(header.name)));
    }
  }
  return {};
}

Result<void> check_get(const HttpGet& request) {
  if (request.range && request.range->empty()) {
    return Error(Code::kInvalid, "the range is empty");
  }
  TRY(check_headers(request.headers));
  return check_headers(request.credentials);
}

Result<void> check_send(const HttpSend& request) {
  constexpr std::array<std::string_view, 6> kMethods = {
      "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
  if (std::find(kMethods.begin(), kMethods.end(), request.method) == kMethods.end()) {
    return Error(Code::kInvalid, "a method that is not sent");
  }
  TRY(check_headers(request.headers));
  return check_headers(request.credentials);
}

// What is sent to `url`; credentials only where they belong.
Outgoing outgoing(const HttpGet& request, const Url& first, const Url& url, bool trusted) {
  Outgoing hop;
  hop.url = url;
  hop.headers = request.headers;
  if (request.range) {
    hop.headers.push_back(
        {"Range", fmt::format("bytes={}-{}", request.range->begin, request.range->end - 1)});
  }
  if (trusted) {
    hop.headers.insert(hop.headers.end(), request.credentials.begin(), request.credentials.end());
    hop.url.user = first.user;
    hop.url.password = first.password;
  }
  return hop;
}

Error named(Error error, std::string_view method, std::string_view url) {
  const std::string printed = printable_url(url);
  return std::move(error).context(fmt::format("{} {}", method, printed)).in_file(printed);
}

// Keeps the first bytes of a body. Confined, as every sink.
class TextSink final : public base::BodySink {
 public:
  explicit TextSink(std::size_t limit_bytes) : limit_bytes_(limit_bytes) {}

  std::span<std::byte> window() override {
    constexpr std::size_t kStepBytes = 4096;
    text_.resize(std::min(limit_bytes_, landed_ + kStepBytes));
    return std::as_writable_bytes(std::span(text_).subspan(landed_));
  }

  Result<void> landed(std::size_t bytes) override {
    landed_ += bytes;
    return {};
  }

  std::string take() {
    text_.resize(landed_);
    return std::move(text_);
  }

 private:
  const std::size_t limit_bytes_;
  std::string text_;
  std::size_t landed_ = 0;
};

// Thread-safe: what it holds is the pool and what never changes.
class PooledClient final : public HttpClient {
 public:
  explicit PooledClient(HttpClientOptions options)
      : options_(std::move(options)), pool_(options_) {}

  Result<HttpHead> get(const base::Call& call,
                       const HttpGet& request,
                       base::BodySink& sink) override {
    auto checked = check_get(request);
    if (!checked.ok()) {
      return named(std::move(checked).error(), "GET", request.url);
    }
    const Url first = TRY(parse_url(request.url));
    const Asked asked{request.range, request.expect};
    Url url = first;
    bool trusted = true;
    for (int redirects = 0;; ++redirects) {
      const Outgoing hop = outgoing(request, first, url, trusted);
      Answer answer(asked, call.clock().wall_now(), sink);
      auto head = answer.finish(pool_.perform(call, hop, answer).transport);
      if (!head.ok()) {
        auto error = std::move(head).error();
        return answer.sink_failed() ? std::move(error) : named(std::move(error), "GET", url.text);
      }
      const std::string_view location = head->header("location");
      if (!is_redirect(head->status) || location.empty()) {
        return head;
      }
      if (redirects == kRedirectLimit) {
        return named(Error(Code::kInvalid, fmt::format("more than {} redirects", kRedirectLimit)),
                     "GET",
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

  Result<HttpReply> send(const base::Call& call, const HttpSend& request) override {
    auto checked = check_send(request);
    if (!checked.ok()) {
      return named(std::move(checked).error(), "a request", request.url);
    }
    Outgoing hop;
    hop.method = request.method;
    hop.url = TRY(parse_url(request.url));
    hop.headers = request.headers;
    hop.headers.insert(hop.headers.end(), request.credentials.begin(), request.credentials.end());
    hop.body = request.body;
    Asked asked;
    asked.head_only = request.method == "HEAD";
    asked.any_status = true;
    TextSink sink(request.answer_limit);
    Answer answer(asked, call.clock().wall_now(), sink);
    Exchanged done = pool_.perform(call, hop, answer);
    const bool source_failed = done.source_failed;
    auto head = answer.finish(std::move(done.transport));
    if (!head.ok()) {
      auto error = std::move(head).error();
      return source_failed ? std::move(error)
                           : named(std::move(error), request.method, hop.url.text);
    }
    return HttpReply{std::move(head).value(), sink.take(), answer.body_complete()};
  }

 private:
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

base::Error http_error(const HttpHead& head, std::string_view url, std::string_view method) {
  auto error =
      named(Error(code_of_status(head.status), fmt::format("the server answered {}", head.status)),
            method,
            url);
  return head.retry_after ? std::move(error).with_retry_after(*head.retry_after) : std::move(error);
}

std::unique_ptr<HttpClient> make_http_client(HttpClientOptions options) {
  // Once for the process, before the first handle: libcurl asks for it.
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  WB_CHECK(ready == CURLE_OK, "libcurl cannot be initialised");
  return std::make_unique<PooledClient>(std::move(options));
}

}  // namespace weighbridge::net
