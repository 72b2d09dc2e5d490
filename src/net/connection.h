#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/body_source.h"
#include "base/call.h"
#include "net/answer.h"
#include "net/answer_reader.h"
#include "net/http_client.h"
#include "net/proxy.h"
#include "net/socket.h"
#include "net/url.h"
#include "net/wire.h"
#include "sync/guarded.h"

namespace weighbridge::net {

// One request on its way to one server: a redirect makes another. A value. Thread-compatible.
struct Outgoing {
  std::string method = "GET";
  Url url;  // its user and password are sent, unless a header says Authorization
  std::vector<HttpHeader> headers;
  base::BodySource* body = nullptr;
};

// What is written before the body, to its empty line.
std::string request_head(const Outgoing& request, const std::optional<Proxy>& proxy);

// Sends a body over a wire while it listens for an answer that comes before its end. Borrows all
// it is given. Confined to the thread that performs the request.
class BodySender {
 public:
  BodySender(const base::Call& call, Socket& socket, Wire& wire, AnswerReader& reader)
      : call_(call), socket_(socket), wire_(wire), reader_(reader) {}

  // Bytes that stand before the body, and are none of it.
  base::Result<void> send_head(std::string_view head);
  base::Result<void> send(base::BodySource& body);

  // False if the answer came first, so that the rest was not sent.
  bool complete() const { return complete_; }

  // The body's source failed: the caller adds nothing to what it said.
  bool source_failed() const { return source_failed_; }

 private:
  base::Result<void> send_part(const base::BodyPart& part);
  base::Result<void> send_memory(std::span<const std::byte> bytes);
  base::Result<void> send_file(base::FilePart file);
  base::Result<void> send_copied(base::FilePart file);
  base::Result<bool> answered();

  const base::Call& call_;
  Socket& socket_;
  Wire& wire_;
  AnswerReader& reader_;
  std::vector<std::byte> copied_;  // from a file, for a connection that is encrypted
  bool complete_ = true;
  bool source_failed_ = false;
};

// What came of an exchange.
struct Exchanged {
  base::Result<void> transport;
  bool reusable = false;       // the connection may carry another request
  bool stale = false;          // the connection broke before any byte of an answer, nor of a body
  bool source_failed = false;  // `transport` is what the body's source said
};

// The open connections of a client, and how a request goes over one: the connection used last is
// the likeliest to be alive. One that turns out to be dead before it has answered anything is
// replaced once by a new one, unless the request may have changed something. Thread-safe.
class ConnectionPool {
 public:
  explicit ConnectionPool(const HttpClientOptions& options)
      : options_(options), proxies_(options) {}

  // Sends the request and feeds `answer` until it says stop, the answer ends, the connection
  // breaks, the call ends or too little has moved for the stall limit.
  Exchanged perform(const base::Call& call, const Outgoing& request, Answer& answer);

 private:
  // Open and unused.
  struct Idle {
    std::string key;  // whom it is to
    std::unique_ptr<Socket> socket;
  };

  std::unique_ptr<Socket> take(const std::string& key);
  void put_back(const std::string& key, std::unique_ptr<Socket> socket);

  const HttpClientOptions& options_;  // the client's
  const ProxyChoice proxies_;
  sync::Guarded<std::vector<Idle>> idle_;
};

}  // namespace weighbridge::net
