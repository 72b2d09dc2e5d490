#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <stop_token>
#include <vector>

#include "base/clock.h"

namespace weighbridge::testing {

// A clock that stands still until the test moves it, so no test sleeps. It begins at
// 2026-01-01 00:00 UTC. Thread-safe.
class ManualClock final : public base::Clock {
 public:
  enum class Waits : std::uint8_t {
    kUntilAdvanced,  // a wait lasts until advance() passes its end
    // A wait with an end takes no time: the clock jumps there at once. For stories told by one
    // thread (backoff, timeouts); others would be timed out before they could act.
    kJumpToTheirEnd,
  };

  explicit ManualClock(Waits waits = Waits::kUntilAdvanced);
  ~ManualClock() override;

  base::TimePoint now() const override;
  base::WallTime wall_now() const override;
  bool wait(std::unique_lock<std::mutex>& lock,
            std::condition_variable_any& changed,
            base::TimePoint until,
            const std::stop_token& stop,
            const std::function<bool()>& ready) const override;

  // Moves the time and wakes every waiter whose end has come. The caller holds no lock that a
  // waiter waits with.
  void advance(base::Duration by);

  // Returns once at least `count` threads stand in wait(). Whoever then takes the lock a thread
  // waits with finds it truly asleep.
  void await_waiters(std::size_t count) const;

  // Since the beginning.
  base::Duration elapsed() const;

 private:
  struct Waiter;

  void move_to(base::TimePoint time) const;
  void enter(Waiter& waiter) const;
  void leave(Waiter& waiter) const;

  const Waits waits_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;  // a waiter came, or was let go of
  mutable base::TimePoint now_;
  mutable std::vector<Waiter*> waiters_;  // each lives in its wait()
};

}  // namespace weighbridge::testing
