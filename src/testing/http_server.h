#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/range.h"
#include "sync/guarded.h"

namespace weighbridge::testing {

using Headers = std::vector<std::pair<std::string, std::string>>;

// A request as the server saw it. A value. Thread-compatible.
struct HttpRequest {
  std::string method;
  std::string target;  // as it came: with the query, and absolute where we are the proxy
  std::string path;    // percent-encoding left as it is
  std::string query;
  Headers headers;  // names in lower case
  std::optional<base::Range> range;
  std::string body;              // without its chunks; empty in set_refuse()
  std::uint64_t index = 0;       // of all requests, from 0
  std::uint64_t path_index = 0;  // of those for this path, from 0
  std::uint64_t connection = 0;  // which connection it came over, from 0

  // The first header of that (lower-case) name, or empty.
  std::string_view header(std::string_view name) const;
};

// Bytes and what the server says of them.
struct HttpObject {
  std::shared_ptr<const std::string> bytes;
  std::string etag;           // empty: not sent
  std::string last_modified;  // empty: not sent
};

HttpObject make_object(std::string bytes, std::string etag = {});

// So many bytes a second for everybody who shares it, with a burst of a fiftieth of a second.
// Thread-safe.
class Throttle {
 public:
  explicit Throttle(std::uint64_t bytes_per_second) : bytes_per_second_(bytes_per_second) {}

  // When these bytes may be sent; they are then counted as sent.
  std::chrono::steady_clock::time_point reserve(std::uint64_t bytes);

 private:
  const std::uint64_t bytes_per_second_;
  sync::Guarded<std::chrono::steady_clock::time_point> next_;
};

enum class Framing : std::uint8_t { kLength, kChunked, kUntilClose };

// How one answer goes wrong; by default it does not. Offsets `*_after` count body bytes of this
// answer, `flip_bits` those of the object. A value. Thread-compatible.
struct Fault {
  // Says something else than the object.
  int status = 0;   // 0: 200, 206, 404, 416 as the truth has it
  Headers headers;  // added, or instead of ours of that name; an empty value removes ours
  std::optional<HttpObject> object;  // instead of the one we hold, also where we hold none
  bool ignore_range = false;
  Framing framing = Framing::kLength;

  // Damages the body.
  std::vector<std::pair<std::uint64_t, std::uint8_t>> flip_bits;  // object offset, mask
  std::string append;                                             // after the body's end
  std::optional<std::uint64_t> stop_after;  // ends the body as if it were complete

  // Damages the connection.
  bool hang_up = false;                      // closes it in good order, without an answer
  std::optional<std::uint64_t> cut_after;    // then breaks off, by a reset ...
  bool cut_cleanly = false;                  // ... or by an orderly close
  std::optional<std::uint64_t> stall_after;  // then waits for release() or for the other side
  std::optional<std::chrono::milliseconds> stall_for;  // ... or for so long
  std::uint64_t bytes_per_second = 0;                  // 0: as fast as it goes
  std::vector<std::shared_ptr<Throttle>> throttles;    // the slowest of them decides

  // Just before the last bytes of the body go out, or when it ends early.
  std::shared_ptr<const void> until_sent;
};

// A redirect.
Fault redirect_to(std::string url, int status = 302);
// An answer without the object: 503, 429 ...
Fault answer_with(int status, std::string retry_after = {});

// What went over the wire for one path, or for all.
struct HttpCounts {
  std::uint64_t requests = 0;
  std::uint64_t body_bytes = 0;  // counted just before they are sent; who hangs up sees fewer
};

// An HTTP/1.1 server on loopback for tests: serves objects from memory and directories from disk
// with ETag, Last-Modified, single ranges and HEAD over kept-alive connections, one thread each,
// reads the bodies of requests (up to 64 MiB, by length or in chunks), and misbehaves as `decide`
// says, request by request. It lives in this process and stops, with all its connections, when
// destroyed. Thread-safe.
class HttpServer {
 public:
  // Called by the threads of connections, also at the same time.
  using Decide = std::function<Fault(const HttpRequest&)>;
  using Refuse = std::function<std::optional<Fault>(const HttpRequest&)>;

  // Aborts if the port (0: any free one) cannot be had.
  explicit HttpServer(Decide decide = {}, int port = 0);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer();

  int port() const;
  // "http://127.0.0.1:PORT" and then `path`, which starts with a '/'.
  std::string url(std::string_view path = {}) const;

  // Adds or replaces an object.
  void put(std::string path, HttpObject object);
  // Whatever no object answers is looked for below `directory`.
  void serve_directory(std::string directory);
  void set_decide(Decide decide);
  // Asked as soon as a head is there: an answer goes out at once, the body is never read, and the
  // connection is closed when the client has closed it.
  void set_refuse(Refuse refuse);
  // Lets every answer that is stalled now go on.
  void release();

  HttpCounts counts(std::string_view path) const;
  HttpCounts counts() const;
  std::vector<std::pair<std::string, HttpCounts>> counts_by_path() const;
  // How many connections were accepted so far.
  std::uint64_t connections() const;
  // All requests so far, in order of arrival; the last 100,000 at most.
  std::vector<HttpRequest> requests() const;

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace weighbridge::testing
