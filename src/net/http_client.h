#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/body_sink.h"
#include "base/body_source.h"
#include "base/call.h"
#include "base/range.h"

namespace weighbridge::net {

struct HttpHeader {
  std::string name;
  std::string value;
};

// What a body must still be: compared in every answer before its first byte is handed on.
// An empty or absent part is not compared. Another size is kConflict, as other validators are; but
// kCorrupt where no validator says that this object was ever seen with that size.
struct HttpExpect {
  std::string etag;           // as it came, quotes and W/ included
  std::string last_modified;  // compared only where `etag` is empty or the answer has none
  std::optional<std::uint64_t> total_bytes;
};

struct HttpGet {
  std::string url;                  // http:// or https://, no fragment; userinfo becomes Basic
  std::vector<HttpHeader> headers;  // sent on every hop
  // Authorization, cookies, tokens: sent to the URL's own scheme, host and port, and to nobody a
  // redirect leads to.
  std::vector<HttpHeader> credentials;
  std::optional<base::Range> range;
  HttpExpect expect;
};

struct HttpHead {
  int status = 0;
  std::vector<HttpHeader> headers;           // names in lower case
  std::optional<std::uint64_t> total_bytes;  // of the whole object, where the answer says it
  std::string etag;
  std::string last_modified;
  std::optional<std::chrono::milliseconds> retry_after;
  // A Range was asked for and the answer was the whole object (200).
  bool ignored_range = false;

  // The first header of that (lower-case) name, or empty.
  std::string_view header(std::string_view name) const;
};

// A request that may have a body and whose answer is small: HEAD, POST, PUT, PATCH, DELETE, or a
// GET of a few KiB.
struct HttpSend {
  std::string method;  // in upper case
  std::string url;     // as for HttpGet
  std::vector<HttpHeader> headers;
  std::vector<HttpHeader> credentials;  // one request goes to one server: sent as `headers` are
  base::BodySource* body = nullptr;     // borrowed for the call; sent with its Content-Length
  std::size_t answer_limit = std::size_t{64} * 1024;  // bytes kept of the answer's body
};

struct HttpReply {
  HttpHead head;
  std::string body;
  bool body_complete = false;  // nothing was cut off, by the limit or by the connection
};

// HTTP/1.1, ONE try: no retry, no hedge (transfer and registry own those). Keeps connections alive
// between calls; one that the server has closed meanwhile is replaced within the try, unless that
// could send a POST or PATCH, or any part of a body, twice. Thread-safe; each concurrent call uses
// a connection of its own.
class HttpClient {
 public:
  HttpClient() = default;
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;
  virtual ~HttpClient() = default;

  // Bodies of 200 and 206 go to `sink`, in order, and nobody touches the sink after the return.
  // Every other final status (after redirects) is returned with its body read and thrown away, so
  // that the connection can live on; http_error() turns it into an Error.
  //
  // With a range: a 206 must carry exactly that range, clipped to the object's end, or it is
  // kCorrupt. A 200 is taken as one stream when the range begins at 0 (the sink ends it by an empty
  // window) and is kUnsupported otherwise, with nothing delivered.
  //
  // A sink whose window is empty before the body ends closes the connection, and that is success.
  // kUnavailable: cannot connect, broke off, shorter than announced. kTimedOut: the call's
  // deadline, or a stall, which is silence or a trickle. kCancelled: the call was stopped.
  // kConflict: the answer contradicts `expect`. kCorrupt: no HTTP/1, malformed or oversized
  // headers, malformed chunks, more bytes than announced where chunks or the connection's end frame
  // the body (one of known length ends there, and what follows it costs the connection). kDenied:
  // TLS verification. kInvalid: a URL, header, CA file or redirect that cannot be used.
  // kUnsupported also: a body encoded although it was asked not to be. Errors name the URL without
  // userinfo or query.
  virtual base::Result<HttpHead> get(const base::Call& call,
                                     const HttpGet& request,
                                     base::BodySink& sink) = 0;

  // Sends one request and returns whatever is answered, errors too; http_error() makes an Error of
  // a status. NO redirect is followed: 3xx come back with their Location, for the body is spent and
  // who gets it next is the caller's to decide. An answer that comes before all of the body was
  // sent (401, 413) ends the sending and is returned. Fails as get() does, and with what the body's
  // source says. A file's bytes go from the page cache where the connection is not encrypted.
  virtual base::Result<HttpReply> send(const base::Call& call, const HttpSend& request) = 0;
};

// 401/403 kDenied, 404/410 kNotFound, 408/504 kTimedOut, 412 kConflict, 416 kInvalid, 429 kBusy,
// 5xx kUnavailable, others kUnsupported; carries Retry-After.
base::Error http_error(const HttpHead& head, std::string_view url, std::string_view method = "GET");

// How TLS is spoken to one server, and to no other that it may redirect to.
struct ServerTls {
  std::string origin;            // "https://host:443", in lower case; empty: nobody
  std::string client_cert_file;  // PEM; empty: none
  std::string client_key_file;   // PEM; empty: the key stands in the certificate's file
  bool insecure = false;         // the certificate is not verified
};

struct HttpClientOptions {
  std::string ca_file;   // PEM, then trusted alone; empty: the system's store
  std::string proxy;     // empty: http_proxy, https_proxy, all_proxy, by curl's rules
  std::string no_proxy;  // empty: no_proxy
  ServerTls own_server;
  // "host:port:address": where that host is found, whatever its name's servers say.
  std::vector<std::string> resolve;
  std::chrono::milliseconds connect_timeout{10'000};
  // A try has stalled when this passes without the bytes that the least rate makes of it. A slow
  // sink's time does not count. Nothing else but the call's deadline bounds the time of a body.
  std::chrono::milliseconds stall_timeout{30'000};
  std::uint64_t least_bytes_per_second = 1024;
};

std::unique_ptr<HttpClient> make_http_client(HttpClientOptions options);

// "https://host/path" without userinfo, query and fragment: the only form that is printed.
std::string printable_url(std::string_view url);

}  // namespace weighbridge::net
