#include "registry/client_impl.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "registry/answer_error.h"

namespace weighbridge::registry {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

constexpr std::size_t kWarningsKept = 64;
constexpr std::size_t kWarningBytes = 500;

bool speaks_plain_http(std::string_view host, const Settings& settings) {
  return settings.plain_http.value_or(is_loopback(host));
}

// docker.io is a name; its registry answers elsewhere.
std::string base_url(std::string_view host, const Settings& settings) {
  const std::string_view server = host == "docker.io" ? "registry-1.docker.io" : host;
  return fmt::format("{}://{}", speaks_plain_http(host, settings) ? "http" : "https", server);
}

// `299 - "text"`: only that code is the specification's, and only its text is for people.
std::optional<std::string> warning_text(std::string_view value) {
  constexpr std::string_view kOurs = "299 ";
  const std::size_t open = value.find('"');
  const std::size_t close = value.rfind('"');
  if (!value.starts_with(kOurs) || open == std::string_view::npos || close <= open) {
    return std::nullopt;
  }
  return base::printable(value.substr(open + 1, close - open - 1), kWarningBytes);
}

}  // namespace

net::HttpClientOptions http_options(std::string_view host, const Settings& settings, bool patient) {
  net::HttpClientOptions options;
  options.ca_file = settings.ca_file;
  options.proxy = settings.proxy;
  options.resolve = settings.resolve;
  const auto url = net::parse_url(base_url(host, settings));
  if (url.ok()) {
    options.own_server = {
        url->origin, settings.client_cert_file, settings.client_key_file, settings.insecure};
  }
  if (patient) {
    options.stall_timeout = kPatience;
  }
  return options;
}

Client::Impl::Impl(Parts parts)
    : parts_(std::move(parts)),
      base_url_(base_url(parts_.host, parts_.settings)),
      origin_(net::parse_url(base_url_).value().origin),
      authorizer_(parts_.host,
                  !speaks_plain_http(parts_.host, parts_.settings),
                  parts_.http,
                  parts_.credentials),
      learned_(Learned{parts_.capabilities, parts_.capabilities.kind != "unknown"}) {}

std::string Client::Impl::url(std::string_view path) const {
  return fmt::format("{}/v2/{}", base_url_, path);
}

Result<std::string> Client::Impl::repository_url(const std::string& repository,
                                                 std::string_view path) const {
  if (!is_repository(repository)) {
    return Error(Code::kInvalid,
                 fmt::format("'{}' is not the name of a repository", base::printable(repository)));
  }
  return url(fmt::format("{}/{}", repository, path));
}

net::HttpClient& Client::Impl::http(const RegistryRequest& request) const {
  return request.patient ? parts_.patient_http : parts_.http;
}

bool Client::Impl::is_ours(std::string_view url) const {
  const auto parsed = net::parse_url(url);
  return parsed.ok() && parsed->origin == origin_;
}

std::vector<net::HttpHeader> Client::Impl::credentials(const std::string& authorization) const {
  std::vector<net::HttpHeader> headers = parts_.settings.headers;
  if (!authorization.empty()) {
    headers.push_back({"Authorization", authorization});
  }
  return headers;
}

Result<net::HttpReply> Client::Impl::send(const Call& call,
                                          const RegistryRequest& request,
                                          const std::string& authorization) {
  net::HttpSend send;
  send.method = request.method;
  send.url = request.url;
  send.headers = request.headers;
  send.answer_limit = request.answer_limit;
  if (is_ours(request.url)) {
    send.credentials = credentials(authorization);
  }
  base::MemoryBody text(std::as_bytes(std::span(request.text)));
  send.body = request.body != nullptr ? request.body : (request.text.empty() ? nullptr : &text);
  auto reply = TRY(send_following(call, http(request), std::move(send)));
  listen(reply.head);
  return reply;
}

Result<net::HttpReply> Client::Impl::exchange(const Call& call, const RegistryRequest& request) {
  const bool ours = is_ours(request.url);
  std::string authorization;
  if (ours) {
    authorization = TRY(authorizer_.authorization(call, request.scopes));
  }
  auto reply = TRY(send(call, request, authorization));
  if (reply.head.status != 401 || !ours) {
    return reply;
  }
  authorization = TRY(authorizer_.renew(call, reply.head, request.scopes, authorization));
  if (request.body != nullptr) {
    return Error(Code::kUnavailable,
                 fmt::format("{} wanted to know again who sends, and was not sent the rest",
                             parts_.host))
        .with_hint("The token is renewed: the upload can go on.");
  }
  return send(call, request, authorization);
}

Result<net::HttpHead> Client::Impl::get(const Call& call,
                                        net::HttpGet request,
                                        const Scopes& scopes,
                                        base::BodySink& sink) {
  std::string authorization = TRY(authorizer_.authorization(call, scopes));
  request.credentials = credentials(authorization);
  auto head = TRY(parts_.http.get(call, request, sink));
  if (head.status == 401) {
    authorization = TRY(authorizer_.renew(call, head, scopes, authorization));
    request.credentials = credentials(authorization);
    head = TRY(parts_.http.get(call, request, sink));
  }
  listen(head);
  return head;
}

Error Client::Impl::error_of(const net::HttpReply& reply, const RegistryRequest& request) const {
  std::vector<std::string> secrets = authorizer_.secrets();
  for (const net::HttpHeader& header : parts_.settings.headers) {
    secrets.push_back(header.value);
  }
  return answer_error(reply, request.method, request.url, secrets);
}

Result<std::string> Client::Impl::location_of(const net::HttpReply& reply,
                                              const std::string& requested) const {
  const std::string_view location = reply.head.header("location");
  const auto from = net::parse_url(requested);
  auto to = location.empty() || !from.ok() ? Result<net::Url>(Error(Code::kCorrupt, "no Location"))
                                           : net::resolve_redirect(from.value(), location);
  if (!to.ok()) {
    return Error(Code::kCorrupt,
                 fmt::format("{} does not say where the upload goes on", parts_.host));
  }
  if (from->tls && !to->tls) {
    return Error(Code::kInvalid,
                 fmt::format("{} sends the upload on to a place without TLS", parts_.host))
        .with_hint(
            "A proxy in front of the registry must tell it that its own address is https, or the "
            "registry must send relative addresses.");
  }
  return to->text;
}

Result<bool> Client::Impl::removed(const Call& call, const RegistryRequest& request) {
  const auto reply = TRY(exchange(call, request));
  if (reply.head.status == 404) {
    return false;
  }
  if (reply.head.status == 405) {
    return Error(Code::kUnsupported, fmt::format("{} does not delete", parts_.host))
        .with_hint("Deletion must be enabled in many registries.");
  }
  if (reply.head.status != 202 && reply.head.status != 200 && reply.head.status != 204) {
    return error_of(reply, request);
  }
  return true;
}

Result<void> Client::Impl::stored(const net::HttpReply& reply,
                                  const RegistryRequest& request,
                                  const Digest& digest) const {
  if (reply.head.status != 201) {
    return error_of(reply, request);
  }
  // A registry may file it under a digest of another algorithm, which we cannot compare.
  const auto announced = Digest::parse(reply.head.header("docker-content-digest"));
  if (announced.ok() && announced->algorithm() == digest.algorithm() &&
      announced.value() != digest) {
    return Error(
        Code::kCorrupt,
        fmt::format(
            "{} stored the blob as {}, not {}", parts_.host, announced->text(), digest.text()));
  }
  return {};
}

void Client::Impl::note(const Lesson& lesson) {
  learned_.with([&](Learned& learned) {
    learn(learned.capabilities, lesson);
    let_user_decide(learned.capabilities);
  });
}

void Client::Impl::let_user_decide(Capabilities& known) const {
  const std::string& said = parts_.settings.capabilities;
  const auto document = base::JsonDocument::parse(said.empty() ? "{}" : said);
  if (document.ok()) {
    // What cannot be read was refused with the settings.
    static_cast<void>(override_capabilities(known, document->root()));
  }
}

Capabilities Client::Impl::capabilities() const {
  return learned_.with([](const Learned& learned) { return learned.capabilities; });
}

std::vector<std::string> Client::Impl::take_warnings() {
  return warnings_.with([](Warnings& warnings) { return std::exchange(warnings.untold, {}); });
}

// Headers that any answer may carry: what kind of registry it is, its limits, its warnings.
void Client::Impl::listen(const net::HttpHead& head) {
  if (const auto kind = capabilities_of_answer(head)) {
    learned_.with([&](Learned& learned) {
      if (!std::exchange(learned.kind_known, true)) {
        learned.capabilities = *kind;
        let_user_decide(learned.capabilities);
      }
    });
  }
  if (const auto bytes = base::parse_decimal(head.header("oci-chunk-min-length"))) {
    note({Lesson::What::kMinChunk, *bytes});
  }
  if (const auto bytes = base::parse_decimal(head.header("oci-chunk-max-length"))) {
    note({Lesson::What::kMaxChunk, *bytes});
  }
  for (const net::HttpHeader& header : head.headers) {
    const auto text = header.name == "warning" ? warning_text(header.value) : std::nullopt;
    if (text) {
      warnings_.with([&](Warnings& warnings) {
        const bool room = warnings.heard.size() < kWarningsKept;
        if (room && warnings.heard.insert(*text).second) {
          warnings.untold.push_back(*text);
        }
      });
    }
  }
}

}  // namespace weighbridge::registry
