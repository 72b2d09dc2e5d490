#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"

namespace weighbridge::transfer {

// How many connections a run may have at once, found by trying. It grows while that brings more
// bytes a second, goes back to the least that brought as much, gives way where the origin refuses,
// breaks off or answers later and later, and looks again from time to time. Numbers and times in,
// a number out: it reads no clock and starts nothing. Thread-compatible.
class Pace {
 public:
  struct Bounds {
    std::size_t start = 1;
    std::size_t most = 1;   // never more, whatever it might bring
    std::size_t cores = 1;  // of this machine, which hash what comes
  };

  // How a run stands, told now and then while bytes come.
  struct Sample {
    base::TimePoint now;
    std::uint64_t received_bytes = 0;  // since the beginning
    base::Duration busy{};             // of all connections: spent with bytes, not waiting for them
    std::size_t running = 0;           // connections in use
  };

  // A change of the limit, for whoever asks why.
  struct Decision {
    base::Duration after{};  // the beginning
    std::size_t from = 0;
    std::size_t to = 0;
    std::string why;
  };

  static constexpr std::size_t kDecisionsKept = 64;

  Pace(Bounds bounds, base::TimePoint now);

  std::size_t limit() const { return limit_; }

  // Told to refused() and broken() by a try that began now: what was begun before the last step
  // back says nothing of what came after it.
  std::uint64_t epoch() const { return epoch_; }

  void sampled(const Sample& sample);
  // The first bytes of an answer came so long after it was asked for.
  void answered(base::Duration wait);
  // A try was turned away: 429, 503, no connection.
  void refused(base::TimePoint now, std::uint64_t epoch);
  // A connection broke off, or stood still, after it had brought something.
  void broken(base::TimePoint now, std::uint64_t epoch);

  // Of one connection when last measured, 0 before that.
  std::uint64_t connection_bytes_per_second() const;

  // Of all, when last measured.
  double bytes_per_second() const { return rate_; }

  // From asking to the first byte, the mean of the last measured window.
  base::Duration wait() const { return wait_; }

  // The last kDecisionsKept.
  const std::vector<Decision>& decisions() const { return decisions_; }

 private:
  enum class Phase : std::uint8_t { kFirst, kGrowing, kSettled };

  struct Point {
    std::size_t connections = 0;
    double rate = 0;
  };

  bool adapts() const { return bounds_.start < bounds_.most; }

  void open_window(const Sample& sample);
  void decide(const Sample& sample, double busy_cores);
  void judge_growth(base::TimePoint now);
  void hold(base::TimePoint now);
  void grow(base::TimePoint now, std::size_t to, const std::string& why);
  void settle(base::TimePoint now, std::size_t at, const std::string& why);
  // When settled, the next look comes `pause` later.
  void look_again_in(base::TimePoint now, base::Duration pause);
  void change(base::TimePoint now, std::size_t to, std::string why);
  base::Duration window_length() const;

  const Bounds bounds_;
  const base::TimePoint began_;
  std::size_t limit_;
  Phase phase_ = Phase::kFirst;
  double rate_ = 0;
  std::size_t measured_at_ = 0;  // the limit that rate_ belongs to

  Point base_;      // what growth is compared with
  Point overshot_;  // what growth reached when it ended; no more than a moment old
  double factor_ = 2;
  base::TimePoint probe_at_;
  base::Duration probe_pause_;

  std::uint64_t epoch_ = 1;
  std::uint64_t wave_ = 0;      // the epoch whose refusals are being counted
  std::size_t good_ = 0;        // the most that was held for a window and not refused
  std::size_t refused_at_ = 0;  // the least that was refused since; 0: none

  Sample window_;  // as it stood when the window began
  bool window_open_ = false;
  bool window_full_ = true;  // as many connections as allowed, all the time
  base::TimePoint calm_at_;  // a change needs time to show
  base::Duration waits_{};   // in this window
  std::size_t answers_ = 0;
  base::Duration wait_{};
  base::Duration least_wait_{};

  std::vector<Decision> decisions_;
};

}  // namespace weighbridge::transfer
