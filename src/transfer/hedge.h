#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>

#include "base/body_sink.h"
#include "base/call.h"
#include "hash/hash_tree.h"
#include "transfer/file_job.h"
#include "transfer/schedule.h"

namespace weighbridge::transfer {

// A request under way, as those see it who may ask for the same a second time. Its own thread tells
// how it fares; the rest is the Hedges'. Thread-safe.
class Flight {
 public:
  Flight(const Request& request, base::TimePoint now)
      : request_(request), began_(now), last_(now.time_since_epoch().count()) {}

  const Request& request() const { return request_; }

  // Ends the request for somebody who has its bytes already.
  std::stop_source& stop() { return stop_; }

  // Ends the second request, which has come too late.
  std::stop_source& hedge_stop() { return hedge_stop_; }

  // A try begins, brings bytes, ends. Between tries nobody hedges: the origin asked for the pause.
  void try_began(base::TimePoint now);
  void received(std::uint64_t bytes, base::TimePoint now);

  void try_ended() { trying_ = false; }

 private:
  friend class Hedges;

  const Request request_;
  const base::TimePoint began_;
  std::stop_source stop_;
  std::stop_source hedge_stop_;
  std::atomic<bool> trying_ = false;
  std::atomic<base::Duration::rep> last_;  // when bytes came last
  std::atomic<std::uint64_t> received_ = 0;

  // Guarded by the mutex of Hedges.
  bool hedged_ = false;
  bool taken_ = false;  // the second request has won
  bool ended_ = false;  // nobody writes for the first one any more
};

// Which requests lag so far behind their peers that an idle connection should ask for the same
// again: those that bring nothing for several times what a whole request takes elsewhere, or so
// little that what is left of them would be there long before. What a second request brings stays
// in scratch memory until the first has ended: claim(). Thread-safe.
class Hedges {
 public:
  // Before so many requests have ended, nobody knows what is normal.
  static constexpr std::size_t kLeastPeers = 8;
  static constexpr std::size_t kMostAtOnce = 4;
  // Of what is wanted, a 32nd may be asked for twice, but two requests always.
  static constexpr std::uint64_t kShare = 32;
  static constexpr std::uint64_t kLeastBytes = 2 * Transfer::kRequestBytes;

  struct Counts {
    std::uint64_t begun = 0;
    std::uint64_t won = 0;
    std::uint64_t bytes = 0;  // asked for a second time
  };

  // `enabled`: where not, no request is ever due.
  Hedges(const base::Clock& clock, bool enabled) : clock_(clock), enabled_(enabled) {}

  Hedges(const Hedges&) = delete;
  Hedges& operator=(const Hedges&) = delete;

  void set_wanted_bytes(std::uint64_t bytes) { wanted_bytes_ = bytes; }

  std::shared_ptr<Flight> begin(const Request& request);
  // The first request is over and its thread writes no more. True if the second has taken over,
  // so that what became of the first matters no longer. Else the second is told to stop.
  bool end(Flight& flight, bool complete);

  // When an idle connection should call pick(); TimePoint::max(): not before something changes.
  base::TimePoint look_at() const;
  // The request that lags most, if one is due; hedge_ended() must follow.
  std::shared_ptr<Flight> pick();
  // The second request has proved bytes: stops the first and waits until it has ended. False if
  // it had ended before.
  bool claim(Flight& flight);
  void hedge_ended(Flight& flight);

  Counts counts() const;

 private:
  // Guarded by mutex_, as all of these.
  std::optional<base::Duration> normal_per_piece() const;
  base::TimePoint due_at(const Flight& flight, base::Duration per_piece, base::TimePoint now) const;
  bool may_hedge(const Flight& flight) const;

  const base::Clock& clock_;
  const bool enabled_;
  std::uint64_t wanted_bytes_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::list<std::shared_ptr<Flight>> flights_;
  std::array<base::Duration, 64> took_{};  // a piece, of the last requests that ended well
  std::size_t ended_ = 0;
  std::size_t under_way_ = 0;
  Counts counts_;
};

// Receives the pieces of a lagging request a second time: into scratch memory, hashed as they come.
// The first piece that is proved, or complete where only the whole file can be proved, claims the
// range; from then on the pieces that are still needed are put in their place.
// Confined to one thread.
class HedgeReceiver final : public base::BodySink {
 public:
  // `claim`: Hedges::claim() of the flight.
  HedgeReceiver(FileJob& job, Pieces run, Progress& progress, std::function<bool()> claim);

  std::span<std::byte> window() override;
  base::Result<void> landed(std::size_t bytes) override;

  // From the first piece that is needed to the end of the run.
  base::Range range() const;

  // The range is this one's; pieces before piece() are in their place.
  bool claimed() const { return claimed_; }

  std::uint64_t piece() const { return piece_; }

  bool done() const { return piece_ >= run_.end; }

 private:
  base::Result<void> end_piece();
  base::Result<void> put_in_place(const hash::ChainingValue& value);

  FileJob& job_;
  const Pieces run_;
  Progress& progress_;
  const std::function<bool()> claim_;
  hash::PieceHasher hasher_;
  ScratchPool::Buffer scratch_;
  std::uint64_t piece_;
  std::size_t filled_ = 0;
  bool claimed_ = false;
  bool lost_ = false;
};

}  // namespace weighbridge::transfer
