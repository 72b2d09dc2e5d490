#include "transfer/pace.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/manual_clock.h"

namespace weighbridge::transfer {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr double kMega = 1e6;

// An origin as numbers, and a run that has always enough to ask for.
class PaceTest : public ::testing::Test {
 protected:
  // Lets time pass in small steps, each with as many bytes as the origin gives by then.
  void pass(base::Duration time, const std::function<double(std::size_t)>& rate) {
    const auto end = clock_.elapsed() + time;
    while (clock_.elapsed() < end) {
      clock_.advance(milliseconds(10));
      received_ += rate(pace_.limit()) / 100;
      pace_.answered(wait_);
      pace_.sampled({clock_.now(), static_cast<std::uint64_t>(received_), busy_, pace_.limit()});
      most_ = std::max(most_, pace_.limit());
    }
  }

  // Each connection carries so much, all together no more than that.
  static std::function<double(std::size_t)> capped(double one, double all) {
    return [=](std::size_t connections) {
      return std::min(all, one * static_cast<double>(connections));
    };
  }

  testing::ManualClock clock_;
  Pace pace_{{4, 48, 8}, clock_.now()};
  double received_ = 0;
  base::Duration busy_{};
  base::Duration wait_ = milliseconds(5);
  std::size_t most_ = 0;
};

TEST_F(PaceTest, grows_to_the_ceiling_while_each_connection_adds_its_share) {
  pass(seconds(3), capped(10 * kMega, 1e12));
  EXPECT_EQ(pace_.limit(), 48U);
  pass(seconds(60), capped(10 * kMega, 1e12));
  EXPECT_EQ(most_, 48U) << "never above it";
}

TEST_F(PaceTest, an_origin_of_32_useful_connections_is_at_nine_tenths_within_two_seconds) {
  pass(seconds(2), capped(50 * kMega, 1600 * kMega));
  EXPECT_GE(pace_.limit(), 29U);
  EXPECT_LE(pace_.limit(), 36U);
}

TEST_F(PaceTest, settles_where_more_bring_nothing) {
  pass(seconds(3), capped(50 * kMega, 1000 * kMega));
  EXPECT_GE(pace_.limit(), 20U);
  EXPECT_LE(pace_.limit(), 24U);
  const std::size_t decided = pace_.decisions().size();
  pass(seconds(30), capped(50 * kMega, 1000 * kMega));
  EXPECT_LE(pace_.limit(), 26U);
  EXPECT_LE(pace_.decisions().size() - decided, 10U) << "and stays there";
}

TEST_F(PaceTest, stays_at_its_start_where_that_is_enough) {
  pass(seconds(10), capped(4000 * kMega, 4000 * kMega));
  EXPECT_EQ(pace_.limit(), 4U);
}

TEST_F(PaceTest, does_not_try_more_where_the_processors_are_the_limit) {
  const auto rate = [this](std::size_t) {
    busy_ += milliseconds(10) * 4;  // of 8 cores
    return 4000 * kMega;
  };
  pass(seconds(2), rate);
  EXPECT_EQ(most_, 4U);
  EXPECT_THAT(pace_.decisions().front().why, ::testing::HasSubstr("processors are busy"));
}

TEST_F(PaceTest, falls_by_as_many_as_are_turned_away_and_stays_below) {
  const auto origin = [this](std::size_t connections) {
    const std::uint64_t epoch = pace_.epoch();
    for (std::size_t i = 6; i < connections; ++i) {
      pace_.refused(clock_.now(), epoch);
    }
    return 50 * kMega * static_cast<double>(std::min<std::size_t>(connections, 6));
  };
  pass(seconds(2), origin);
  EXPECT_EQ(pace_.limit(), 6U);
  most_ = 0;
  pass(seconds(60), origin);
  EXPECT_LE(most_, 7U) << "it may look whether one more is welcome by now";
  EXPECT_GE(pace_.limit(), 6U);
}

TEST_F(PaceTest, recovers_when_the_origin_refuses_no_longer) {
  const std::uint64_t epoch = pace_.epoch();
  pace_.refused(clock_.now(), epoch);
  pace_.refused(clock_.now(), epoch);
  pace_.refused(clock_.now(), epoch);
  EXPECT_EQ(pace_.limit(), 1U);
  pass(seconds(60), capped(50 * kMega, 1000 * kMega));
  EXPECT_GE(pace_.limit(), 16U);
}

TEST_F(PaceTest, refusals_of_tries_from_before_the_step_back_do_not_count_again) {
  pass(seconds(1), capped(50 * kMega, 1000 * kMega));
  const std::size_t before = pace_.limit();
  const std::uint64_t first = pace_.epoch();
  pace_.refused(clock_.now(), first);
  const std::uint64_t second = pace_.epoch();
  pace_.refused(clock_.now(), second);
  pace_.refused(clock_.now(), first);
  EXPECT_EQ(pace_.limit(), before - 2);
}

TEST_F(PaceTest, a_connection_that_breaks_costs_an_eighth_once) {
  pass(seconds(3), capped(10 * kMega, 1e12));
  const std::uint64_t epoch = pace_.epoch();
  pace_.broken(clock_.now(), epoch);
  pace_.broken(clock_.now(), epoch);
  EXPECT_EQ(pace_.limit(), 42U);
}

TEST_F(PaceTest, gives_way_when_answers_begin_later_and_later) {
  pass(seconds(3), capped(10 * kMega, 1e12));
  wait_ = milliseconds(300);
  pass(seconds(3), capped(10 * kMega, 480 * kMega));
  EXPECT_LE(pace_.limit(), 36U);
  EXPECT_THAT(pace_.decisions().back().why, ::testing::HasSubstr("answers begin after"));
}

TEST_F(PaceTest, noise_of_a_tenth_does_not_make_it_wander) {
  int turn = 0;
  const auto noisy = [&](std::size_t connections) {
    turn = (turn * 7 + 3) % 11;
    const double noise = 0.9 + 0.2 * turn / 10;
    return std::min(400 * kMega, 50 * kMega * static_cast<double>(connections)) * noise;
  };
  pass(seconds(120), noisy);
  EXPECT_GE(pace_.limit(), 7U);
  EXPECT_LE(pace_.limit(), 12U);
}

TEST_F(PaceTest, a_run_that_does_not_use_its_connections_changes_nothing) {
  for (int i = 0; i < 500; ++i) {
    clock_.advance(milliseconds(10));
    received_ += kMega;
    pace_.sampled({clock_.now(), static_cast<std::uint64_t>(received_), {}, 2});
  }
  EXPECT_EQ(pace_.limit(), 4U);
}

TEST(FixedPaceTest, a_source_with_a_fixed_number_keeps_it) {
  testing::ManualClock clock;
  Pace pace({3, 3, 2}, clock.now());
  pace.refused(clock.now(), pace.epoch());
  pace.broken(clock.now(), pace.epoch());
  for (std::uint64_t i = 1; i < 100; ++i) {
    clock.advance(milliseconds(50));
    pace.sampled({clock.now(), i * 1'000'000, {}, 3});
  }
  EXPECT_EQ(pace.limit(), 3U);
  EXPECT_NEAR(static_cast<double>(pace.connection_bytes_per_second()), 20e6 / 3, 1e6);
  EXPECT_TRUE(pace.decisions().empty());
}

}  // namespace
}  // namespace weighbridge::transfer
