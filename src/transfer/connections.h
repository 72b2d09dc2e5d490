#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <utility>

#include "base/call.h"
#include "transfer/pace.h"

namespace weighbridge::transfer {

// Whose turn it is to use a connection: no more tries at once than the pace allows, in the order in
// which they came. Thread-safe.
class Connections {
 public:
  // The right to one try, given back when destroyed. Confined to its holder.
  class Turn {
   public:
    Turn(Turn&& other) noexcept
        : connections_(std::exchange(other.connections_, nullptr)), epoch_(other.epoch_) {}

    Turn& operator=(Turn&&) = delete;
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

    ~Turn() {
      if (connections_ != nullptr) {
        connections_->leave();
      }
    }

    // For Pace::refused() and broken().
    std::uint64_t epoch() const { return epoch_; }

   private:
    friend class Connections;

    Turn(Connections& connections, std::uint64_t epoch)
        : connections_(&connections), epoch_(epoch) {}

    Connections* connections_;
    std::uint64_t epoch_;
  };

  Connections(const base::Clock& clock, Pace::Bounds bounds)
      : clock_(clock), pace_(bounds, clock.now()) {}

  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;

  // Waits until it is its turn. kTimedOut, kCancelled as the call says.
  base::Result<Turn> take(const base::Call& call);

  // What Pace::sampled() is told, but for what is known here.
  void sampled(std::uint64_t received_bytes, base::Duration busy);
  void answered(base::Duration wait);
  void refused(std::uint64_t epoch);
  void broken(std::uint64_t epoch);

  std::size_t limit() const;
  // The most that were in use at once.
  std::size_t peak() const;

  // The pace as it is now.
  Pace pace() const;

 private:
  void leave();

  const base::Clock& clock_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  Pace pace_;
  std::deque<std::uint64_t> waiting_;  // tickets, the next first
  std::uint64_t next_ticket_ = 0;
  std::size_t running_ = 0;
  std::size_t peak_ = 0;
};

}  // namespace weighbridge::transfer
