#include "loader/arrivals.h"

namespace weighbridge::loader {

using base::Result;

void Arrivals::push(std::span<const TensorSink::Arrival> arrived) {
  const std::scoped_lock lock(mutex_);
  arrived_.insert(arrived_.end(), arrived.begin(), arrived.end());
  changed_.notify_all();
}

Result<std::optional<TensorSink::Arrival>> Arrivals::pop(const base::Call& call) {
  std::unique_lock lock(mutex_);
  if (arrived_.empty()) {
    call.clock().wait(
        lock, changed_, call.deadline(), call.stop(), [&] { return closed_ || !arrived_.empty(); });
  }
  if (!arrived_.empty()) {
    const TensorSink::Arrival arrival = arrived_.front();
    arrived_.pop_front();
    return std::optional(arrival);
  }
  if (!closed_) {
    TRY(call.check());
    return base::Error(base::Code::kTimedOut, "the deadline passed while waiting for a tensor");
  }
  return std::optional<TensorSink::Arrival>();
}

void Arrivals::close() {
  const std::scoped_lock lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

}  // namespace weighbridge::loader
