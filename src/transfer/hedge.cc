#include "transfer/hedge.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

namespace weighbridge::transfer {

using base::Code;
using base::Duration;
using base::Error;
using base::Result;
using base::TimePoint;
using std::chrono::milliseconds;

namespace {

constexpr int kSilence = 3;  // times what a request of that size takes its peers
constexpr milliseconds kSilenceLeast{50};
constexpr int kSlower = 4;  // times as long as its peers would take for the rest
constexpr milliseconds kSlowerLeast{100};
constexpr milliseconds kLookAgain{50};

std::uint64_t pieces_of(const Request& request) {
  return request.run.end - request.run.begin;
}

}  // namespace

void Flight::try_began(TimePoint now) {
  last_ = now.time_since_epoch().count();
  trying_ = true;
}

void Flight::received(std::uint64_t bytes, TimePoint now) {
  received_ += bytes;
  last_ = now.time_since_epoch().count();
}

std::shared_ptr<Flight> Hedges::begin(const Request& request) {
  auto flight = std::make_shared<Flight>(request, clock_.now());
  if (enabled_) {
    const std::scoped_lock lock(mutex_);
    flights_.push_back(flight);
  }
  return flight;
}

bool Hedges::end(Flight& flight, bool complete) {
  if (!enabled_) {
    return false;
  }
  const Duration took = clock_.now() - flight.began_;
  bool taken = false;
  {
    const std::scoped_lock lock(mutex_);
    flight.ended_ = true;
    taken = flight.taken_;
    std::erase_if(flights_, [&](const auto& other) { return other.get() == &flight; });
    if (complete && !taken) {
      took_[ended_++ % took_.size()] = took / pieces_of(flight.request_);
    }
    changed_.notify_all();
  }
  if (!taken) {
    flight.hedge_stop_.request_stop();
  }
  return taken;
}

std::optional<Duration> Hedges::normal_per_piece() const {
  if (ended_ < kLeastPeers) {
    return std::nullopt;
  }
  auto sorted = took_;
  const std::size_t count = std::min(ended_, sorted.size());
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(count / 2);
  std::nth_element(sorted.begin(), middle, sorted.begin() + static_cast<std::ptrdiff_t>(count));
  return *middle;
}

bool Hedges::may_hedge(const Flight& flight) const {
  const std::uint64_t bytes = pieces_of(flight.request_) * hash::kPieceBytes;
  return flight.trying_ && !flight.hedged_ && !flight.request_.stream && under_way_ < kMostAtOnce &&
         counts_.bytes + bytes <= std::max(kLeastBytes, wanted_bytes_ / kShare);
}

TimePoint Hedges::due_at(const Flight& flight, Duration per_piece, TimePoint now) const {
  const Duration whole = per_piece * pieces_of(flight.request_);
  const TimePoint last{Duration(flight.last_.load())};
  const TimePoint silent = last + std::max<Duration>(kSilenceLeast, whole * kSilence);
  const std::uint64_t bytes = pieces_of(flight.request_) * hash::kPieceBytes;
  const std::uint64_t received = std::min<std::uint64_t>(flight.received_, bytes);
  const TimePoint first_look = flight.began_ + whole * kSlower + kSlowerLeast;
  if (now < first_look) {
    return std::min(silent, first_look);
  }
  const double left = static_cast<double>(bytes - received) / static_cast<double>(bytes);
  const double done = std::max(1 - left, 0.001);
  const double will_take = static_cast<double>((now - flight.began_).count()) * left / done;
  const double peers_take = static_cast<double>(whole.count()) * left;
  const double margin = static_cast<double>(Duration(kSlowerLeast).count());
  return will_take > peers_take * kSlower + margin ? now : std::min(silent, now + kLookAgain);
}

TimePoint Hedges::look_at() const {
  const TimePoint now = clock_.now();
  const std::scoped_lock lock(mutex_);
  const auto per_piece = normal_per_piece();
  TimePoint earliest = TimePoint::max();
  if (!per_piece) {
    return earliest;
  }
  for (const auto& flight : flights_) {
    if (may_hedge(*flight)) {
      earliest = std::min(earliest, due_at(*flight, *per_piece, now));
    }
  }
  return earliest;
}

std::shared_ptr<Flight> Hedges::pick() {
  const TimePoint now = clock_.now();
  const std::scoped_lock lock(mutex_);
  const auto per_piece = normal_per_piece();
  std::shared_ptr<Flight> worst;
  for (const auto& flight : flights_) {
    if (per_piece && may_hedge(*flight) && due_at(*flight, *per_piece, now) <= now &&
        (worst == nullptr || flight->last_ < worst->last_)) {
      worst = flight;
    }
  }
  if (worst != nullptr) {
    worst->hedged_ = true;
    ++under_way_;
    ++counts_.begun;
    counts_.bytes += pieces_of(worst->request_) * hash::kPieceBytes;
  }
  return worst;
}

bool Hedges::claim(Flight& flight) {
  {
    const std::scoped_lock lock(mutex_);
    if (flight.ended_) {
      return false;
    }
    flight.taken_ = true;
    ++counts_.won;
  }
  flight.stop_.request_stop();
  // Whatever the deadline: its place may be written to only once it has let go.
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return flight.ended_; });
  return true;
}

void Hedges::hedge_ended(Flight& flight) {
  const std::scoped_lock lock(mutex_);
  flight.hedged_ = false;
  --under_way_;
}

Hedges::Counts Hedges::counts() const {
  const std::scoped_lock lock(mutex_);
  return counts_;
}

HedgeReceiver::HedgeReceiver(FileJob& job,
                             Pieces run,
                             Progress& progress,
                             std::function<bool()> claim)
    : job_(job), run_(run), progress_(progress), claim_(std::move(claim)), piece_(run.begin) {
  while (!done() && !job_.needs(piece_)) {
    ++piece_;
  }
}

base::Range HedgeReceiver::range() const {
  const std::uint64_t file_bytes = job_.file().size;
  return {hash::piece_range(piece_, file_bytes).begin,
          hash::piece_range(run_.end - 1, file_bytes).end};
}

std::span<std::byte> HedgeReceiver::window() {
  if (done() || lost_) {
    return {};
  }
  if (!scratch_) {
    scratch_ = job_.take_scratch();
  }
  if (filled_ == 0) {
    hasher_.start(piece_);
  }
  const std::uint64_t bytes = hash::piece_range(piece_, job_.file().size).size();
  return scratch_.bytes().first(bytes).subspan(filled_);
}

Result<void> HedgeReceiver::landed(std::size_t bytes) {
  filled_ += bytes;
  progress_.received_bytes += bytes;
  return filled_ == hash::piece_range(piece_, job_.file().size).size() ? end_piece()
                                                                       : Result<void>();
}

Result<void> HedgeReceiver::end_piece() {
  hasher_.update(scratch_.bytes().first(std::exchange(filled_, 0)));
  const bool single = hash::piece_count(job_.file().size) == 1;
  const hash::ChainingValue value =
      single ? hash::ChainingValue{hasher_.finish_root().bytes} : hasher_.finish_piece();
  if (!claimed_) {
    if (!job_.needs(piece_)) {
      ++piece_;  // the first request is alive, and ahead
      return {};
    }
    TRY(job_.check(piece_, value));
    claimed_ = claim_();
    lost_ = !claimed_;
  }
  if (lost_) {
    return Error(Code::kCancelled, "the first request was faster");
  }
  // Between the proof and its end the first request may have landed it.
  if (job_.needs(piece_)) {
    TRY(put_in_place(value));
  }
  ++piece_;
  return {};
}

Result<void> HedgeReceiver::put_in_place(const hash::ChainingValue& value) {
  const std::size_t bytes = hash::piece_range(piece_, job_.file().size).size();
  const std::span<std::byte> place = TRY(job_.place(piece_, scratch_));
  if (place.data() != scratch_.bytes().data()) {
    std::memcpy(place.data(), scratch_.bytes().data(), bytes);
  }
  return job_.landed(piece_, place, value, std::move(scratch_));
}

}  // namespace weighbridge::transfer
