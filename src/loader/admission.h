#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "base/call.h"
#include "sync/budget.h"

namespace weighbridge::loader {

// Which slabs may be filled: one after the other in the order of the load, as the budget has room.
// A slab is paid for from its admission until nothing in it waits any more, neither for bytes nor
// for its taker. Because no slab overtakes another, all that is admitted can be finished without
// admitting more; and where nothing is held, the next is admitted however large it is: so no load
// stands still for ever. Thread-safe.
class Admission {
 public:
  // `budget`: outlives this. Null: everything is admitted.
  explicit Admission(sync::Budget* budget) : budget_(budget) {}

  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;
  ~Admission() = default;

  // Before any other call: the slabs of the next file. `together`: none of them is of use without
  // the others.
  void add(std::span<const std::uint64_t> slab_bytes, bool together);

  // Admits slabs up to the one of that number as far as there is room; returns how many are
  // admitted in all.
  std::size_t admit(std::size_t slab);

  // The same, waiting for room. kTimedOut, kCancelled as the call says.
  base::Result<void> wait(const base::Call& call, std::size_t slab);

  // Nothing waits in this slab any more, or ever will. May be called twice, and before its
  // admission.
  void release(std::size_t slab);

  // Whom to tell when there may be room; nobody after `{}`, once this returns. `tell` calls nothing
  // here.
  void tell_of_room(std::function<void()> tell);

 private:
  struct Slab {
    std::uint64_t bytes = 0;
    std::size_t group_end = 0;  // those before it are admitted together with this one
    bool released = false;
    sync::Budget::Lease lease;
  };

  void admit_up_to(std::size_t slab);
  bool admit_group();

  sync::Budget* const budget_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<Slab> slabs_;
  std::size_t admitted_ = 0;
  std::size_t held_ = 0;  // admitted and not released

  std::mutex telling_;  // while `tell_` runs or is set
  std::function<void()> tell_;
};

}  // namespace weighbridge::loader
