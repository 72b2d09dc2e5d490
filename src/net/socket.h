#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/body_source.h"
#include "base/call.h"
#include "net/http_client.h"

namespace weighbridge::net {

// Whom a connection is to. A value. Thread-compatible.
struct Destination {
  std::string url;       // without userinfo
  std::string proxy;     // as libcurl takes it, with its credentials: never printed; empty: none
  bool raw = true;       // nothing is encrypted on the way to whoever reads our bytes
  std::string origin{};  // as Url has it
};

// An open connection to a server or a proxy. libcurl makes it (names, addresses, TLS, CONNECT and
// SOCKS) and, where it is encrypted, carries its bytes; those of a raw one go by the socket itself.
// Nothing here waits but connect(). Confined to one request at a time; wake() to any thread.
class Socket {
 public:
  // kUnavailable: no connection. kDenied: TLS verification. kInvalid: a URL, a proxy or a CA file
  // that cannot be used. kTimedOut, kCancelled: the call.
  static base::Result<std::unique_ptr<Socket>> connect(const base::Call& call,
                                                       const Destination& destination,
                                                       const HttpClientOptions& options);
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket();

  // How many bytes went through, or nothing where it would have to wait. Received 0: the other
  // side has closed. kUnavailable: the connection broke.
  base::Result<std::optional<std::size_t>> try_receive(std::span<std::byte> into);
  base::Result<std::optional<std::size_t>> try_send(std::span<const std::byte> bytes);
  // From the page cache, of a raw connection only. kIo: the file cannot be read, or ends early.
  base::Result<std::optional<std::size_t>> try_send_file(const base::FilePart& part);

  // Until the other side can go on, wake() or the time, whichever comes first.
  void wait(bool to_send, base::Duration longest);
  // Ends the wait() that is on, or the next one. Thread-safe.
  void wake();
  // Forgets a wake() that nobody waited for.
  void forget_wake();

  // Open, and nothing has arrived that nobody asked for: fit for another request.
  bool is_quiet() const;

  bool is_raw() const { return raw_; }

 private:
  struct Handles;
  Socket(std::unique_ptr<Handles> handles, bool raw);

  const std::unique_ptr<Handles> handles_;
  const bool raw_;
};

}  // namespace weighbridge::net
