#pragma once

#include <mutex>
#include <utility>

namespace weighbridge::sync {

// A value that can only be reached under its lock. No I/O, callback or second lock inside with(),
// so there is no lock order to learn. Thread-safe.
template <typename T>
class Guarded {
 public:
  Guarded() = default;

  explicit Guarded(T value) : value_(std::move(value)) {}

  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  // Runs `use(T&)` under the lock and returns what it returns.
  template <typename Use>
  decltype(auto) with(Use&& use) {
    const std::scoped_lock lock(mutex_);
    return std::forward<Use>(use)(value_);
  }

  template <typename Use>
  decltype(auto) with(Use&& use) const {
    const std::scoped_lock lock(mutex_);
    return std::forward<Use>(use)(value_);
  }

 private:
  mutable std::mutex mutex_;
  T value_;
};

}  // namespace weighbridge::sync
