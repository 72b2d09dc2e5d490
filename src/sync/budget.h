#pragma once

#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <utility>

#include "base/call.h"

namespace weighbridge::sync {

// So many bytes may be held at once; who wants more waits. Requests are served in the order in
// which they came, so a large one is never starved by small ones. Outlives its leases.
// Thread-safe.
class Budget {
 public:
  // Bytes taken from a Budget, given back when destroyed. Confined to its holder, who may move it
  // to another thread.
  class Lease {
   public:
    Lease() = default;

    Lease(Lease&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

    Lease& operator=(Lease&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(bytes_, other.bytes_);
      other.give_back();
      return *this;
    }

    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    ~Lease() { give_back(); }

    std::uint64_t bytes() const { return bytes_; }

    // Ends the lease early. May be called twice.
    void give_back();

   private:
    friend class Budget;

    Lease(Budget& budget, std::uint64_t bytes) : budget_(&budget), bytes_(bytes) {}

    Budget* budget_ = nullptr;
    std::uint64_t bytes_ = 0;
  };

  explicit Budget(std::uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}

  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;
  ~Budget();

  // Waits until all of `bytes` are free and everybody who came before has been served.
  // kExhausted at once if they are more than the limit; kTimedOut, kCancelled as the call says.
  base::Result<Lease> take(const base::Call& call, std::uint64_t bytes);
  // Nothing if they are not free now, or somebody waits.
  std::optional<Lease> try_take(std::uint64_t bytes);

  std::uint64_t limit_bytes() const { return limit_bytes_; }

  std::uint64_t held_bytes() const;

 private:
  bool fits(std::uint64_t bytes) const { return bytes <= limit_bytes_ - held_bytes_; }

  void give_back(std::uint64_t bytes);

  const std::uint64_t limit_bytes_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::list<std::uint64_t> waiting_;  // what each wants; the longest waiting first
  std::uint64_t held_bytes_ = 0;
};

}  // namespace weighbridge::sync
