#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "testing/http_server.h"
#include "testing/http_wire.h"

namespace weighbridge::testing {

// An object as it is served: from memory, or mapped from a file. A value. Thread-compatible.
struct ServedObject {
  std::shared_ptr<const void> owner;  // of `bytes`
  std::string_view bytes;
  std::string etag;
  std::string last_modified;
};

ServedObject served(const HttpObject& object);
// The regular file at `path` below `directory`, or nothing. ".." and links are followed:
// it serves tests, on loopback.
std::optional<ServedObject> served_file(const std::string& directory, std::string_view path);

// Sends one answer with its fault. Confined to the connection's thread.
class HttpReply {
 public:
  struct Hooks {
    std::function<void(std::uint64_t)> count_body;  // bytes about to be sent
    std::function<bool()> released;                 // may a stalled answer go on?
  };

  HttpReply(HttpWire& wire, const HttpRequest& request, Fault& fault, Hooks hooks)
      : wire_(wire), request_(request), fault_(fault), hooks_(std::move(hooks)) {}

  // False if the connection must be closed after it.
  bool send(const std::optional<ServedObject>& object);

 private:
  void choose(const std::optional<ServedObject>& object);
  std::string head() const;
  bool send_body();
  bool stall();
  bool send_slice(std::uint64_t begin, std::uint64_t end);
  std::uint64_t slice_end(std::uint64_t position, std::uint64_t end) const;
  // Nothing: go on. Otherwise the body ends here, and this says whether the connection lives.
  std::optional<bool> pass(std::uint64_t position);

  HttpWire& wire_;
  const HttpRequest& request_;
  Fault& fault_;
  const Hooks hooks_;

  int status_ = 200;
  Headers headers_;
  std::string text_;         // the body of an answer without an object
  std::string_view body_;    // without what the fault appends
  std::uint64_t first_ = 0;  // where in the object it begins
  std::chrono::steady_clock::time_point next_send_;
};

}  // namespace weighbridge::testing
