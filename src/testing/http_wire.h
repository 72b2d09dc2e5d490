#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "testing/http_server.h"

namespace weighbridge::testing {

// The server's end of one connection: heads in, bytes out, and ways to end it badly. Owns the
// descriptor's use but not its closing. Confined to the connection's thread.
class HttpWire {
 public:
  // `cancelled` is asked while waiting.
  HttpWire(int socket, std::function<bool()> cancelled)
      : socket_(socket), cancelled_(std::move(cancelled)) {}

  // The next request's head, without its empty line. Nothing when the other side hung up or sends
  // more than 64 KiB.
  std::optional<std::string> read_head();
  // The body that such a head announces: empty if none. Nothing as above, where it is malformed,
  // and past 64 MiB.
  std::optional<std::string> read_body(const HttpRequest& request);
  // Throws away what comes until the other side hangs up.
  void drain();
  // False once the other side is gone.
  bool send(std::string_view bytes);
  // False if the other side hung up, or all was cancelled, before `ready()` or `until`.
  bool wait(const std::function<bool()>& ready, std::chrono::steady_clock::time_point until);
  // Lets the other side have what was sent, then makes close() send a reset.
  void prepare_reset();

 private:
  bool receive();
  std::optional<std::string> take(std::uint64_t bytes);
  std::optional<std::string> take_line();

  const int socket_;
  const std::function<bool()> cancelled_;
  std::string received_;  // past the last head
};

// What the head of a request says, or nothing if it is none. Everything but the counters.
std::optional<HttpRequest> parse_request(std::string_view head);

}  // namespace weighbridge::testing
