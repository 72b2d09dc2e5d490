#pragma once

#include <stop_token>

#include "base/clock.h"
#include "base/result.h"

namespace weighbridge::base {

// What everything that blocks is given first: until when it may take, and how it is told to stop.
// A value; cheap to copy; borrows the clock, which outlives every call. Thread-compatible.
class Call {
 public:
  // No deadline, never stopped. For tests and for `main`, which narrow it.
  explicit Call(const Clock& clock) : clock_(&clock) {}

  const Clock& clock() const { return *clock_; }

  TimePoint deadline() const { return deadline_; }

  const std::stop_token& stop() const { return stop_; }

  // Time left; zero when the deadline has passed, Duration::max() when there is none.
  Duration remaining() const;

  // Fails with kCancelled after a stop request, with kTimedOut after the deadline.
  Result<void> check() const;

  // The same call, ending no later than `deadline`.
  Call until(TimePoint deadline) const;
  // The same call, ending at most `timeout` from now.
  Call within(Duration timeout) const;
  // The same call, stopped by `stop` instead. Whoever narrows a call like this forwards the outer
  // stop request to it (std::stop_callback).
  Call stopped_by(std::stop_token stop) const;

 private:
  const Clock* clock_;
  TimePoint deadline_ = TimePoint::max();
  std::stop_token stop_;
};

}  // namespace weighbridge::base
