#include "transfer/pace.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "base/units.h"

// Hill climbing with a memory. The rate is measured over windows in which as many connections were
// in use as allowed. From `base_` the limit grows by `factor_`; if the rate grew by at least half
// of that, this is the new base and it grows on; if by little, the limit goes to where the line
// through the origin and the base meets the new rate (the knee), and otherwise back to the base.
// Settled, it looks a quarter higher from time to time, at growing intervals.
//
// A refusal tells more than a rate: of the tries that stood side by side when the first was
// refused, each refused one was one too many, so the limit falls by their count. Between the most
// that was not refused and the least that was, it is halved until they are neighbours.

namespace weighbridge::transfer {
namespace {

using base::Duration;
using base::TimePoint;
using std::chrono::milliseconds;

constexpr milliseconds kWindow{150};
constexpr milliseconds kCalm{75};
constexpr int kWindowWaits = 4;  // a window is at least so many answers long, ...
constexpr int kCalmWaits = 2;    // ... and a new connection has time to come up to speed
constexpr double kPays = 0.5;    // of what the added connections would bring if nothing were shared
constexpr double kNotice = 0.08;  // a change of the rate that is no noise
constexpr double kKneeRoom = 1.1;
constexpr double kBusyShare = 0.7;  // of the cores
constexpr double kLater = 3;        // times the least wait: a queue is building up
constexpr milliseconds kLaterLeast{50};
constexpr milliseconds kProbePause{1'000};
constexpr milliseconds kProbePauseMost{60'000};
constexpr milliseconds kBreakPause{2'000};

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

std::string rate_text(double bytes_per_second) {
  return base::format_bytes(static_cast<std::uint64_t>(bytes_per_second)) + "/s";
}

std::string percent(double ratio) {
  return fmt::format("{:+.0f} %", (ratio - 1) * 100);
}

}  // namespace

Pace::Pace(Bounds bounds, TimePoint now)
    : bounds_{std::min(bounds.start, bounds.most), bounds.most, bounds.cores},
      began_(now),
      limit_(bounds_.start),
      probe_at_(TimePoint::max()),
      probe_pause_(kProbePause),
      calm_at_(now) {}

Duration Pace::window_length() const {
  return std::max<Duration>(kWindow, wait_ * kWindowWaits);
}

std::uint64_t Pace::connection_bytes_per_second() const {
  return measured_at_ == 0 ? 0
                           : static_cast<std::uint64_t>(rate_ / static_cast<double>(measured_at_));
}

void Pace::change(TimePoint now, std::size_t to, std::string why) {
  to = std::clamp<std::size_t>(to, 1, bounds_.most);
  if (decisions_.size() == kDecisionsKept) {
    decisions_.erase(decisions_.begin());
  }
  decisions_.push_back({now - began_, limit_, to, std::move(why)});
  limit_ = to;
  window_open_ = false;
  calm_at_ = now + std::max<Duration>(kCalm, wait_ * kCalmWaits);
}

void Pace::look_again_in(TimePoint now, Duration pause) {
  phase_ = Phase::kSettled;
  probe_at_ = now + pause;
}

void Pace::grow(TimePoint now, std::size_t to, const std::string& why) {
  phase_ = Phase::kGrowing;
  change(now, to, why);
}

void Pace::settle(TimePoint now, std::size_t at, const std::string& why) {
  change(now, at, why);
  look_again_in(now, probe_pause_);
  probe_pause_ = std::min<Duration>(probe_pause_ * 2, kProbePauseMost);
}

void Pace::answered(Duration wait) {
  waits_ += wait;
  ++answers_;
}

void Pace::open_window(const Sample& sample) {
  window_ = sample;
  window_open_ = true;
  window_full_ = true;
  waits_ = {};
  answers_ = 0;
}

void Pace::sampled(const Sample& sample) {
  if (!window_open_ || sample.now < calm_at_) {
    return open_window(sample);
  }
  window_full_ = window_full_ && sample.running >= limit_;
  const Duration elapsed = sample.now - window_.now;
  if (elapsed < window_length()) {
    return;
  }
  const double window_seconds = seconds(elapsed);
  if (answers_ > 0) {
    wait_ = waits_ / answers_;
    least_wait_ = least_wait_ == Duration::zero() ? wait_ : std::min(least_wait_, wait_);
  }
  if (window_full_) {
    rate_ = static_cast<double>(sample.received_bytes - window_.received_bytes) / window_seconds;
    measured_at_ = limit_;
    if (adapts()) {
      decide(sample, seconds(sample.busy - window_.busy) / window_seconds);
    }
  }
  open_window(sample);
}

void Pace::decide(const Sample& sample, double busy_cores) {
  good_ = std::max(good_, limit_);
  const TimePoint now = sample.now;
  if (phase_ == Phase::kGrowing) {
    return judge_growth(now);
  }
  if (phase_ == Phase::kFirst || now >= probe_at_) {
    base_ = {limit_, rate_};
    factor_ = phase_ == Phase::kFirst ? 2 : 1.25;
    if (busy_cores * 2 > static_cast<double>(bounds_.cores) * kBusyShare) {
      return settle(now,
                    limit_,
                    fmt::format("{}: the processors are busy with what comes ({:.1f} of {})",
                                rate_text(rate_),
                                busy_cores,
                                bounds_.cores));
    }
    std::size_t to =
        std::max(limit_ + 1, static_cast<std::size_t>(static_cast<double>(limit_) * factor_));
    if (refused_at_ > limit_ + 1) {
      to = std::min(to, (limit_ + refused_at_) / 2);
    }
    if (limit_ == bounds_.most) {
      return look_again_in(now, kProbePauseMost);
    }
    return grow(now, to, fmt::format("{}: do more bring more?", rate_text(rate_)));
  }
  hold(now);
}

// Settled: nothing changes unless the last step was a mistake, or answers come later and later.
void Pace::hold(TimePoint now) {
  if (overshot_.connections > limit_ && rate_ < overshot_.rate * (1 - 2 * kNotice)) {
    const Point back = std::exchange(overshot_, {});
    return settle(now,
                  back.connections,
                  fmt::format("{}: less than the {} with {}",
                              rate_text(rate_),
                              rate_text(back.rate),
                              back.connections));
  }
  overshot_ = {};
  if (limit_ > bounds_.start && wait_ > least_wait_ * kLater + kLaterLeast) {
    settle(now,
           std::max(bounds_.start, limit_ - limit_ / 4),
           fmt::format("answers begin after {:.0f} ms, once after {:.0f} ms",
                       seconds(wait_) * 1000,
                       seconds(least_wait_) * 1000));
    least_wait_ = wait_;
  }
}

void Pace::judge_growth(TimePoint now) {
  const double gain = rate_ / std::max(base_.rate, 1.0);
  const double asked = static_cast<double>(limit_) /
                       static_cast<double>(std::max<std::size_t>(base_.connections, 1));
  const Point reached{limit_, rate_};
  const std::string measured = fmt::format("{} ({})", rate_text(rate_), percent(gain));
  if (gain - 1 >= kPays * (asked - 1)) {
    base_ = reached;
    probe_pause_ = kProbePause;
    if (limit_ == bounds_.most) {
      return settle(now, limit_, measured + ": the most that is polite");
    }
    std::size_t to = std::max(
        limit_ + 1, static_cast<std::size_t>(static_cast<double>(limit_) * std::max(factor_, 1.5)));
    if (refused_at_ > limit_) {
      to = std::min(to, (limit_ + refused_at_) / 2);
    }
    if (to <= limit_) {
      return settle(now, limit_, measured + ": one more is refused");
    }
    return grow(now, to, measured + ": they do");
  }
  overshot_ = reached;
  if (gain - 1 >= kNotice) {
    const double knee = static_cast<double>(base_.connections) * gain * kKneeRoom;
    const auto at =
        std::clamp(static_cast<std::size_t>(std::ceil(knee)), base_.connections, limit_);
    return settle(now, at, measured + ": this many are enough for that");
  }
  settle(now, base_.connections, measured + ": more bring nothing");
}

void Pace::refused(TimePoint now, std::uint64_t epoch) {
  if (!adapts() || epoch < wave_) {
    return;
  }
  if (epoch == epoch_) {
    wave_ = epoch_++;
    refused_at_ = limit_;
    if (good_ >= limit_) {
      good_ = limit_ / 2;  // it was good, and no longer is
    }
  }
  overshot_ = {};
  const std::size_t to = std::max<std::size_t>({1, good_, limit_ - 1});
  if (to < limit_) {
    change(now, to, "one was turned away");
    refused_at_ = limit_ + 1;
  }
  look_again_in(
      now,
      refused_at_ > limit_ + 1
          ? Duration(kCalm)
          : std::exchange(probe_pause_, std::min<Duration>(probe_pause_ * 2, kProbePauseMost)));
}

void Pace::broken(TimePoint now, std::uint64_t epoch) {
  if (!adapts() || epoch < epoch_ || limit_ == 1) {
    return;
  }
  ++epoch_;
  overshot_ = {};
  change(now, limit_ - std::max<std::size_t>(1, limit_ / 8), "one broke off");
  look_again_in(now, kBreakPause);
}

}  // namespace weighbridge::transfer
