#include "transfer/connections.h"

#include <algorithm>

namespace weighbridge::transfer {

using base::Result;

Result<Connections::Turn> Connections::take(const base::Call& call) {
  std::unique_lock lock(mutex_);
  const std::uint64_t ticket = next_ticket_++;
  waiting_.push_back(ticket);
  const auto mine = [&] { return waiting_.front() == ticket && running_ < pace_.limit(); };
  const bool reached = clock_.wait(lock, changed_, call.deadline(), call.stop(), mine);
  std::erase(waiting_, ticket);
  changed_.notify_all();
  if (!reached) {
    TRY(call.check());
    return base::Error(base::Code::kTimedOut, "the deadline passed before a connection was free");
  }
  ++running_;
  peak_ = std::max(peak_, running_);
  return Turn(*this, pace_.epoch());
}

void Connections::leave() {
  const std::scoped_lock lock(mutex_);
  --running_;
  changed_.notify_all();
}

void Connections::sampled(std::uint64_t received_bytes, base::Duration busy) {
  const base::TimePoint now = clock_.now();
  const std::scoped_lock lock(mutex_);
  const std::size_t before = pace_.limit();
  pace_.sampled({now, received_bytes, busy, running_});
  if (pace_.limit() > before) {
    changed_.notify_all();
  }
}

void Connections::answered(base::Duration wait) {
  const std::scoped_lock lock(mutex_);
  pace_.answered(wait);
}

void Connections::refused(std::uint64_t epoch) {
  const base::TimePoint now = clock_.now();
  const std::scoped_lock lock(mutex_);
  pace_.refused(now, epoch);
}

void Connections::broken(std::uint64_t epoch) {
  const base::TimePoint now = clock_.now();
  const std::scoped_lock lock(mutex_);
  pace_.broken(now, epoch);
}

std::size_t Connections::limit() const {
  const std::scoped_lock lock(mutex_);
  return pace_.limit();
}

std::size_t Connections::peak() const {
  const std::scoped_lock lock(mutex_);
  return peak_;
}

Pace Connections::pace() const {
  const std::scoped_lock lock(mutex_);
  return pace_;
}

}  // namespace weighbridge::transfer
