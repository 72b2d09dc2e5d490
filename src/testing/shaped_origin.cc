#include "testing/shaped_origin.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <utility>

#include "sync/guarded.h"

namespace weighbridge::testing {

// Thread-safe.
class ShapedOrigin::State : public std::enable_shared_from_this<State> {
 public:
  explicit State(Shape shape) : shape_(std::move(shape)) {
    if (shape_.total_bytes_per_second > 0) {
      total_ = std::make_shared<Throttle>(shape_.total_bytes_per_second);
    }
  }

  Fault decide(const HttpRequest& request) {
    Fault fault;
    const std::size_t under_way = ++answers_;
    // Given back with the answer's last bytes: the client may use them to ask again.
    fault.until_sent = std::shared_ptr<const void>(
        this, [kept = shared_from_this()](const void*) { --kept->answers_; });
    if (shape_.most_answers > 0 && under_way > shape_.most_answers) {
      ++refused_;
      fault.status = 503;
      return fault;
    }
    peak_.with([&](std::size_t& peak) { peak = std::max(peak, under_way); });
    throttle(fault, request);
    stall(fault, request);
    return fault;
  }

  std::uint64_t refused() const { return refused_; }

  std::size_t peak() const {
    return peak_.with([](std::size_t peak) { return peak; });
  }

 private:
  void throttle(Fault& fault, const HttpRequest& request) {
    if (shape_.connection_bytes_per_second > 0) {
      fault.throttles.push_back(connections_.with([&](auto& connections) {
        auto& own = connections[request.connection];
        if (own == nullptr) {
          own = std::make_shared<Throttle>(shape_.connection_bytes_per_second);
        }
        return own;
      }));
    }
    if (total_ != nullptr) {
      fault.throttles.push_back(total_);
    }
  }

  void stall(Fault& fault, const HttpRequest& request) {
    if (!shape_.stall || request.path != shape_.stall->path || !request.range ||
        shape_.stall->offset < request.range->begin || shape_.stall->offset >= request.range->end ||
        stalled_.exchange(true)) {
      return;
    }
    fault.stall_after = shape_.stall->offset - request.range->begin;
    fault.stall_for = shape_.stall->lasts;
  }

  const Shape shape_;
  std::shared_ptr<Throttle> total_;
  sync::Guarded<std::map<std::uint64_t, std::shared_ptr<Throttle>>> connections_;
  std::atomic<std::size_t> answers_ = 0;
  std::atomic<std::uint64_t> refused_ = 0;
  std::atomic<bool> stalled_ = false;
  sync::Guarded<std::size_t> peak_;
};

ShapedOrigin::ShapedOrigin(Shape shape) : state_(std::make_shared<State>(std::move(shape))) {}

HttpServer::Decide ShapedOrigin::decide() const {
  return [state = state_](const HttpRequest& request) { return state->decide(request); };
}

std::uint64_t ShapedOrigin::refused() const {
  return state_->refused();
}

std::size_t ShapedOrigin::peak() const {
  return state_->peak();
}

}  // namespace weighbridge::testing
