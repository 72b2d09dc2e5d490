#include "base/call.h"

#include <algorithm>
#include <utility>

namespace weighbridge::base {

Duration Call::remaining() const {
  if (deadline_ == TimePoint::max()) {
    return Duration::max();
  }
  return std::max(Duration::zero(), deadline_ - clock_->now());
}

Result<void> Call::check() const {
  if (stop_.stop_requested()) {
    return Error(Code::kCancelled, "stopped on request");
  }
  if (deadline_ != TimePoint::max() && clock_->now() >= deadline_) {
    return Error(Code::kTimedOut, "the deadline passed");
  }
  return {};
}

Call Call::until(TimePoint deadline) const {
  Call narrower = *this;
  narrower.deadline_ = std::min(deadline_, deadline);
  return narrower;
}

Call Call::within(Duration timeout) const {
  const TimePoint now = clock_->now();
  return timeout >= TimePoint::max() - now ? *this : until(now + timeout);
}

Call Call::stopped_by(std::stop_token stop) const {
  Call narrower = *this;
  narrower.stop_ = std::move(stop);
  return narrower;
}

}  // namespace weighbridge::base
