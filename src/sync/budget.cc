#include "sync/budget.h"

#include <fmt/format.h>

#include "base/check.h"
#include "base/units.h"

namespace weighbridge::sync {

using base::Code;
using base::Error;

void Budget::Lease::give_back() {
  if (budget_ != nullptr) {
    std::exchange(budget_, nullptr)->give_back(std::exchange(bytes_, 0));
  }
}

Budget::~Budget() {
  WB_CHECK(held_bytes_ == 0, "a lease outlives its budget");
}

base::Result<Budget::Lease> Budget::take(const base::Call& call, std::uint64_t bytes) {
  if (bytes > limit_bytes_) {
    return Error(Code::kExhausted,
                 fmt::format("{} are wanted at once where at most {} may be held",
                             base::format_bytes(bytes),
                             base::format_bytes(limit_bytes_)));
  }
  std::unique_lock lock(mutex_);
  const auto place = waiting_.insert(waiting_.end(), bytes);
  const bool served = call.clock().wait(lock, changed_, call.deadline(), call.stop(), [&] {
    return place == waiting_.begin() && fits(bytes);
  });
  waiting_.erase(place);
  changed_.notify_all();  // the next in line may fit as well
  if (!served) {
    TRY(call.check());
    return Error(Code::kTimedOut, "the deadline passed while waiting for memory");
  }
  held_bytes_ += bytes;
  return Lease(*this, bytes);
}

std::optional<Budget::Lease> Budget::try_take(std::uint64_t bytes) {
  const std::scoped_lock lock(mutex_);
  if (!waiting_.empty() || !fits(bytes)) {
    return std::nullopt;
  }
  held_bytes_ += bytes;
  return Lease(*this, bytes);
}

std::uint64_t Budget::held_bytes() const {
  const std::scoped_lock lock(mutex_);
  return held_bytes_;
}

void Budget::give_back(std::uint64_t bytes) {
  const std::scoped_lock lock(mutex_);
  held_bytes_ -= bytes;
  changed_.notify_all();
}

}  // namespace weighbridge::sync
