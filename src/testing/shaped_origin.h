#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "testing/http_server.h"

namespace weighbridge::testing {

// What an origin on the internet is like. 0: no limit.
struct Shape {
  std::uint64_t connection_bytes_per_second = 0;
  std::uint64_t total_bytes_per_second = 0;
  std::size_t most_answers = 0;  // at once; the others get a 503

  // The answer that holds this byte stands still there for so long, the first time.
  struct Stall {
    std::string path;
    std::uint64_t offset = 0;
    std::chrono::milliseconds lasts{};
  };

  std::optional<Stall> stall = std::nullopt;
};

// Shapes what a server answers: `HttpServer::set_decide(ShapedOrigin(shape).decide())`. What
// decide() returns may outlive it. Thread-safe.
class ShapedOrigin {
 public:
  explicit ShapedOrigin(Shape shape);

  HttpServer::Decide decide() const;

  // Answers with a 503 so far.
  std::uint64_t refused() const;
  // The most answers that were under way at once.
  std::size_t peak() const;

 private:
  class State;
  const std::shared_ptr<State> state_;
};

}  // namespace weighbridge::testing
