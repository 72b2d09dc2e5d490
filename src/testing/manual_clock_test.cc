#include "testing/manual_clock.h"

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace weighbridge::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(ManualClock, StandsStillUntilItIsMoved) {
  ManualClock clock;
  const auto begin = clock.now();
  const auto wall = clock.wall_now();
  EXPECT_EQ(clock.now(), begin);
  clock.advance(seconds(5));
  EXPECT_EQ(clock.now(), begin + seconds(5));
  EXPECT_EQ(clock.wall_now(), wall + seconds(5));
  EXPECT_EQ(clock.elapsed(), seconds(5));
}

TEST(ManualClock, WakesASleeperWhenItsTimeHasComeAndNotBefore) {
  ManualClock clock;
  std::atomic<bool> reached = false;
  std::jthread sleeper(
      [&] { reached = clock.sleep_until(clock.now() + seconds(10), std::stop_token()); });
  clock.await_waiters(1);
  clock.advance(seconds(9));
  EXPECT_FALSE(reached);
  clock.advance(seconds(1));
  sleeper.join();
  EXPECT_TRUE(reached);
}

TEST(ManualClock, AStopRequestEndsAWait) {
  ManualClock clock;
  std::stop_source stop;
  std::atomic<bool> reached = true;
  std::jthread sleeper(
      [&] { reached = clock.sleep_until(base::TimePoint::max(), stop.get_token()); });
  clock.await_waiters(1);
  stop.request_stop();
  sleeper.join();
  EXPECT_FALSE(reached);
}

TEST(ManualClock, AWaitEndsWhenItsConditionHolds) {
  const ManualClock clock;
  std::mutex mutex;
  std::condition_variable_any changed;
  bool ready = false;
  std::atomic<bool> was_ready = false;
  std::jthread waiter([&] {
    std::unique_lock lock(mutex);
    was_ready =
        clock.wait(lock, changed, base::TimePoint::max(), std::stop_token(), [&] { return ready; });
  });
  clock.await_waiters(1);
  {
    const std::scoped_lock lock(mutex);
    ready = true;
    changed.notify_all();
  }
  waiter.join();
  EXPECT_TRUE(was_ready);
}

TEST(ManualClock, MayBeMovedWhileManyThreadsComeAndGo) {
  ManualClock clock;
  std::atomic<int> awake = 0;
  {
    std::vector<std::jthread> sleepers;
    sleepers.reserve(8);
    for (int i = 0; i < 8; ++i) {
      sleepers.emplace_back([&clock, &awake, i] {
        for (int turn = 0; turn < 50; ++turn) {
          clock.sleep_until(clock.now() + milliseconds(i), std::stop_token());
        }
        ++awake;
      });
    }
    while (awake < 8) {
      clock.advance(milliseconds(1));
    }
  }
  EXPECT_EQ(awake, 8);
}

TEST(ManualClock, JumpsToTheEndOfAWaitWhereAskedTo) {
  ManualClock clock(ManualClock::Waits::kJumpToTheirEnd);
  EXPECT_TRUE(clock.sleep_until(clock.now() + seconds(30), std::stop_token()));
  EXPECT_EQ(clock.elapsed(), seconds(30));
}

TEST(ManualClock, DoesNotJumpForAStoppedWait) {
  ManualClock clock(ManualClock::Waits::kJumpToTheirEnd);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(clock.sleep_until(clock.now() + seconds(30), stop.get_token()));
  EXPECT_EQ(clock.elapsed(), seconds(0));
}

}  // namespace
}  // namespace weighbridge::testing
