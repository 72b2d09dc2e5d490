#include "transfer/hedge.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "testing/manual_clock.h"

namespace weighbridge::transfer {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class HedgesTest : public ::testing::Test {
 protected:
  HedgesTest() { hedges_.set_wanted_bytes(1024 * hash::kPieceBytes); }

  static Request request() { return {nullptr, {0, 4}, false}; }

  std::shared_ptr<Flight> take_off() {
    auto flight = hedges_.begin(request());
    flight->try_began(clock_.now());
    return flight;
  }

  // What is normal: a request of four pieces takes 80 ms.
  void end_peers(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const auto peer = take_off();
      clock_.advance(milliseconds(80));
      EXPECT_FALSE(hedges_.end(*peer, true));
    }
  }

  testing::ManualClock clock_;
  Hedges hedges_{clock_, true};
};

TEST_F(HedgesTest, nothing_is_due_before_anybody_knows_what_is_normal) {
  const auto flight = take_off();
  end_peers(Hedges::kLeastPeers - 1);
  clock_.advance(seconds(30));
  EXPECT_EQ(hedges_.look_at(), base::TimePoint::max());
  EXPECT_EQ(hedges_.pick(), nullptr);
}

TEST_F(HedgesTest, a_silent_request_is_due_after_three_times_what_its_peers_take) {
  end_peers(Hedges::kLeastPeers);
  const auto flight = take_off();
  const base::TimePoint began = clock_.now();
  EXPECT_EQ(hedges_.look_at() - began, milliseconds(240));
  clock_.advance(milliseconds(239));
  EXPECT_EQ(hedges_.pick(), nullptr);
  clock_.advance(milliseconds(1));
  EXPECT_EQ(hedges_.pick(), flight);
  EXPECT_EQ(hedges_.pick(), nullptr) << "once at a time";
}

TEST_F(HedgesTest, one_that_brings_bytes_as_fast_as_its_peers_is_never_due) {
  end_peers(Hedges::kLeastPeers);
  const auto flight = take_off();
  for (int i = 0; i < 4; ++i) {
    clock_.advance(milliseconds(25));
    flight->received(hash::kPieceBytes - 1, clock_.now());
    EXPECT_EQ(hedges_.pick(), nullptr);
  }
}

TEST_F(HedgesTest, one_that_trickles_is_due_when_its_rest_would_take_four_times_as_long) {
  end_peers(Hedges::kLeastPeers);
  const auto flight = take_off();
  base::Duration waited{};
  while (hedges_.pick() == nullptr && waited < seconds(10)) {
    clock_.advance(milliseconds(10));
    flight->received(1000, clock_.now());
    waited += milliseconds(10);
  }
  EXPECT_LE(waited, milliseconds(500));
}

TEST_F(HedgesTest, who_pauses_because_the_origin_asked_for_it_is_left_alone) {
  end_peers(Hedges::kLeastPeers);
  const auto flight = take_off();
  flight->try_ended();
  clock_.advance(seconds(10));
  EXPECT_EQ(hedges_.pick(), nullptr);
}

TEST_F(HedgesTest, no_more_than_a_few_and_no_more_than_a_share_of_the_bytes) {
  hedges_.set_wanted_bytes(10 * hash::kPieceBytes);
  end_peers(Hedges::kLeastPeers);
  std::vector<std::shared_ptr<Flight>> flights;
  for (int i = 0; i < 10; ++i) {
    flights.push_back(take_off());
  }
  clock_.advance(seconds(1));
  EXPECT_NE(hedges_.pick(), nullptr);
  EXPECT_NE(hedges_.pick(), nullptr);
  EXPECT_EQ(hedges_.pick(), nullptr);
  EXPECT_EQ(hedges_.counts().bytes, Hedges::kLeastBytes);
}

TEST_F(HedgesTest, the_winner_waits_until_the_loser_has_let_go) {
  const auto flight = take_off();
  std::atomic<bool> ended = false;
  std::jthread first([&] {
    std::mutex mutex;
    std::condition_variable_any stopped;
    std::unique_lock lock(mutex);
    stopped.wait(lock, flight->stop().get_token(), [] { return false; });
    ended = true;
    EXPECT_TRUE(hedges_.end(*flight, false)) << "what became of it does not matter";
  });
  EXPECT_TRUE(hedges_.claim(*flight));
  EXPECT_TRUE(ended);
  EXPECT_EQ(hedges_.counts().won, 1U);
}

TEST_F(HedgesTest, who_comes_second_claims_nothing_and_is_stopped) {
  const auto flight = take_off();
  EXPECT_FALSE(hedges_.end(*flight, true));
  EXPECT_TRUE(flight->hedge_stop().stop_requested());
  EXPECT_FALSE(hedges_.claim(*flight));
}

TEST(NoHedgesTest, where_they_are_not_wanted_nothing_is_ever_due) {
  testing::ManualClock clock;
  Hedges hedges(clock, false);
  const auto flight = hedges.begin({nullptr, {0, 4}, false});
  EXPECT_EQ(hedges.look_at(), base::TimePoint::max());
  EXPECT_EQ(hedges.pick(), nullptr);
  EXPECT_FALSE(hedges.end(*flight, true));
}

}  // namespace
}  // namespace weighbridge::transfer
