#include "testing/manual_clock.h"

#include <algorithm>
#include <chrono>

#include "base/check.h"

// A waiter waits with a lock of its own, which we must take before we wake it: otherwise the wake
// could fall between its look at the clock and its sleep. But its lock may be gone as soon as it
// has left wait(). So the mover holds on to each waiter (`holds`), and a waiter leaves only when
// nobody holds it, with its lock released meanwhile. Nobody takes a waiter's lock while holding
// the clock's; there is no order to get wrong.

namespace weighbridge::testing {
namespace {

constexpr base::TimePoint kBegin{std::chrono::hours(1)};
constexpr base::WallTime kWallBegin{std::chrono::seconds(1'767'225'600)};

}  // namespace

struct ManualClock::Waiter {
  std::mutex* mutex;
  std::condition_variable_any* changed;
  int holds;
};

ManualClock::ManualClock(Waits waits) : waits_(waits), now_(kBegin) {}

ManualClock::~ManualClock() {
  WB_CHECK(waiters_.empty(), "a thread outlives its clock");
}

base::TimePoint ManualClock::now() const {
  const std::scoped_lock lock(mutex_);
  return now_;
}

base::WallTime ManualClock::wall_now() const {
  return kWallBegin + std::chrono::duration_cast<base::WallTime::duration>(elapsed());
}

base::Duration ManualClock::elapsed() const {
  return now() - kBegin;
}

void ManualClock::advance(base::Duration by) {
  move_to(now() + by);
}

bool ManualClock::wait(std::unique_lock<std::mutex>& lock,
                       std::condition_variable_any& changed,
                       base::TimePoint until,
                       const std::stop_token& stop,
                       const std::function<bool()>& ready) const {
  const auto over = [&] { return ready() || now() >= until; };
  while (!over() && !stop.stop_requested()) {
    if (waits_ == Waits::kJumpToTheirEnd && until != base::TimePoint::max()) {
      lock.unlock();
      move_to(until);
      lock.lock();
      continue;
    }
    Waiter waiter{lock.mutex(), &changed, 0};
    enter(waiter);
    changed.wait(lock, stop, over);
    // Leaving gives up the lock, so that what was ready may be gone again: hence the loop.
    lock.unlock();
    leave(waiter);
    lock.lock();
  }
  return ready();
}

void ManualClock::await_waiters(std::size_t count) const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return waiters_.size() >= count; });
}

void ManualClock::move_to(base::TimePoint time) const {
  std::vector<Waiter*> held;
  {
    const std::scoped_lock lock(mutex_);
    now_ = std::max(now_, time);
    held = waiters_;
    std::for_each(held.begin(), held.end(), [](Waiter* waiter) { ++waiter->holds; });
  }
  for (Waiter* const waiter : held) {
    {
      const std::scoped_lock asleep(*waiter->mutex);
      waiter->changed->notify_all();
    }
    const std::scoped_lock lock(mutex_);
    --waiter->holds;
    changed_.notify_all();
  }
}

void ManualClock::enter(Waiter& waiter) const {
  const std::scoped_lock lock(mutex_);
  waiters_.push_back(&waiter);
  changed_.notify_all();
}

void ManualClock::leave(Waiter& waiter) const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return waiter.holds == 0; });
  std::erase(waiters_, &waiter);
}

}  // namespace weighbridge::testing
