#include "base/clock.h"

namespace weighbridge::base {
namespace {

// Thread-safe: it has no state.
class SystemClock final : public Clock {
 public:
  TimePoint now() const override { return std::chrono::steady_clock::now(); }

  WallTime wall_now() const override { return std::chrono::system_clock::now(); }

  bool wait(std::unique_lock<std::mutex>& lock,
            std::condition_variable_any& changed,
            TimePoint until,
            const std::stop_token& stop,
            const std::function<bool()>& ready) const override {
    // A condition variable adds to the time point inside; the far future must not overflow there.
    if (until == TimePoint::max()) {
      return changed.wait(lock, stop, ready);
    }
    return changed.wait_until(lock, stop, until, ready);
  }
};

}  // namespace

bool Clock::sleep_until(TimePoint until, const std::stop_token& stop) const {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  wait(lock, changed, until, stop, [] { return false; });
  return !stop.stop_requested();
}

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

}  // namespace weighbridge::base
