#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>

namespace weighbridge::base {

using Duration = std::chrono::steady_clock::duration;
using TimePoint = std::chrono::steady_clock::time_point;
using WallTime = std::chrono::system_clock::time_point;

// Time, as a seam: tests hand in one that stands still until it is moved.
// Thread-safe.
class Clock {
 public:
  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  virtual ~Clock() = default;

  // Never goes backwards. For deadlines, waits and rates.
  virtual TimePoint now() const = 0;
  // What a calendar says; may jump. For what people and other machines read.
  virtual WallTime wall_now() const = 0;

  // Waits on `changed`, with `lock` held as for a condition variable, until `ready()`, `until` or
  // a stop request, whichever comes first. Returns what `ready()` says at the end.
  virtual bool wait(std::unique_lock<std::mutex>& lock,
                    std::condition_variable_any& changed,
                    TimePoint until,
                    const std::stop_token& stop,
                    const std::function<bool()>& ready) const = 0;

  // Sleeps until `until` or a stop request; true if the time was reached.
  bool sleep_until(TimePoint until, const std::stop_token& stop) const;
};

// The machine's own clock. It has no state, so the one object may be shared by everything.
const Clock& system_clock();

}  // namespace weighbridge::base
