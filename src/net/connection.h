#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/call.h"
#include "net/answer.h"
#include "net/http_client.h"

namespace weighbridge::net {

// One request on its way to one server: a redirect makes another. A value. Thread-compatible.
struct Outgoing {
  std::string url;   // without userinfo
  std::string user;  // Basic; empty: none
  std::string password;
  std::vector<HttpHeader> headers;
};

// A libcurl handle with connections of its own that stay open between requests.
// Confined to one request at a time; only a stop request may come from another thread.
class Connection {
 public:
  // kExhausted if libcurl has no memory left. `options` outlives the connection.
  static base::Result<std::unique_ptr<Connection>> open(const HttpClientOptions& options);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  // Sends the request and feeds `answer` until it says stop, the answer ends, the connection
  // breaks, the call ends or too little has arrived for the stall limit.
  base::Result<void> perform(const base::Call& call, const Outgoing& request, Answer& answer);

 private:
  struct Handles;
  struct Progress;
  Connection(const HttpClientOptions& options, std::unique_ptr<Handles> handles);

  base::Result<void> drive(const base::Call& call, const Progress& progress);
  base::Result<void> wait(const base::Call& call, const Progress& progress);
  base::Error failure(int curl_code) const;

  const HttpClientOptions& options_;
  const std::unique_ptr<Handles> handles_;
};

}  // namespace weighbridge::net
