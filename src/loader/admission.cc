#include "loader/admission.h"

#include <algorithm>
#include <utility>

namespace weighbridge::loader {

void Admission::add(std::span<const std::uint64_t> slab_bytes, bool together) {
  const std::size_t end = slabs_.size() + slab_bytes.size();
  for (const std::uint64_t bytes : slab_bytes) {
    Slab slab;
    slab.bytes = bytes;
    slab.group_end = together ? end : slabs_.size() + 1;
    slabs_.push_back(std::move(slab));
  }
  if (budget_ == nullptr) {
    admitted_ = slabs_.size();
  }
}

bool Admission::admit_group() {
  const std::size_t end = slabs_[admitted_].group_end;
  const bool alone = held_ == 0;
  for (std::size_t i = admitted_; i < end; ++i) {
    if (slabs_[i].released) {
      continue;
    }
    auto lease = budget_->try_take(slabs_[i].bytes);
    if (!lease && !alone) {
      for (std::size_t taken = admitted_; taken < i; ++taken) {
        slabs_[taken].lease.give_back();
      }
      return false;
    }
    if (lease) {
      slabs_[i].lease = std::move(*lease);
    }
  }
  for (; admitted_ < end; ++admitted_) {
    held_ += slabs_[admitted_].released ? 0 : 1;
  }
  return true;
}

void Admission::admit_up_to(std::size_t slab) {
  while (admitted_ <= slab && admit_group()) {
  }
}

std::size_t Admission::admit(std::size_t slab) {
  const std::scoped_lock lock(mutex_);
  admit_up_to(slab);
  return admitted_;
}

base::Result<void> Admission::wait(const base::Call& call, std::size_t slab) {
  std::unique_lock lock(mutex_);
  const bool admitted = call.clock().wait(lock, changed_, call.deadline(), call.stop(), [&] {
    admit_up_to(slab);
    return admitted_ > slab;
  });
  if (!admitted) {
    TRY(call.check());
    return base::Error(base::Code::kTimedOut, "the deadline passed while waiting for memory");
  }
  return {};
}

void Admission::release(std::size_t slab) {
  {
    const std::scoped_lock lock(mutex_);
    Slab& released = slabs_[slab];
    if (std::exchange(released.released, true)) {
      return;
    }
    released.lease.give_back();
    if (budget_ == nullptr) {
      return;
    }
    held_ -= slab < admitted_ ? 1 : 0;
    changed_.notify_all();
  }
  const std::scoped_lock lock(telling_);
  if (tell_) {
    tell_();
  }
}

void Admission::tell_of_room(std::function<void()> tell) {
  const std::scoped_lock lock(telling_);
  tell_ = std::move(tell);
}

}  // namespace weighbridge::loader
