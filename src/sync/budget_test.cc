#include "sync/budget.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "testing/manual_clock.h"

namespace weighbridge::sync {
namespace {

using base::Call;
using base::Code;
using std::chrono::seconds;
using testing::ManualClock;

TEST(Budget, TakesUpToTheLimitAndGivesBack) {
  const ManualClock clock;
  Budget budget(100);
  {
    const Budget::Lease lease = budget.take(Call(clock), 60).value();
    EXPECT_EQ(lease.bytes(), 60);
    EXPECT_EQ(budget.held_bytes(), 60);
    EXPECT_FALSE(budget.try_take(41).has_value());
    EXPECT_TRUE(budget.try_take(40).has_value());
  }
  EXPECT_EQ(budget.held_bytes(), 0);
}

TEST(Budget, ARequestAboveTheLimitFailsAtOnce) {
  const ManualClock clock;
  Budget budget(100);
  EXPECT_EQ(budget.take(Call(clock), 101).error().code(), Code::kExhausted);
  EXPECT_FALSE(budget.try_take(101).has_value());
}

TEST(Budget, ALeaseGivesBackOnceHoweverItMovesAndEnds) {
  Budget budget(100);
  Budget::Lease first = *budget.try_take(10);
  Budget::Lease second = std::move(first);
  EXPECT_EQ(budget.held_bytes(), 10);
  second = *budget.try_take(20);
  EXPECT_EQ(budget.held_bytes(), 20);
  second.give_back();
  second.give_back();
  EXPECT_EQ(budget.held_bytes(), 0);
  EXPECT_EQ(second.bytes(), 0);
}

TEST(Budget, WhoeverWantsMoreThanIsFreeWaits) {
  const ManualClock clock;
  Budget budget(100);
  Budget::Lease held = *budget.try_take(50);
  std::jthread taker([&] { EXPECT_EQ(budget.take(Call(clock), 51).value().bytes(), 51); });
  clock.await_waiters(1);
  held.give_back();
}

TEST(Budget, ALargeRequestIsNotOvertakenBySmallOnes) {
  const ManualClock clock;
  Budget budget(100);
  Budget::Lease held = *budget.try_take(50);
  std::atomic<bool> large_served = false;
  std::jthread large([&] {
    const Budget::Lease lease = budget.take(Call(clock), 100).value();
    large_served = true;
  });
  clock.await_waiters(1);
  EXPECT_FALSE(budget.try_take(1).has_value());
  std::jthread small([&] {
    const Budget::Lease lease = budget.take(Call(clock), 1).value();
    EXPECT_TRUE(large_served);
  });
  clock.await_waiters(2);
  held.give_back();
}

TEST(Budget, AWaiterThatGivesUpLetsTheNextOneIn) {
  ManualClock clock;
  Budget budget(100);
  const Budget::Lease held = *budget.try_take(50);
  std::jthread large([&] {
    EXPECT_EQ(budget.take(Call(clock).within(seconds(1)), 100).error().code(), Code::kTimedOut);
  });
  clock.await_waiters(1);
  std::jthread small([&] { EXPECT_TRUE(budget.take(Call(clock), 50).ok()); });
  clock.await_waiters(2);
  clock.advance(seconds(1));
}

TEST(Budget, AStopRequestEndsTheWait) {
  const ManualClock clock;
  std::stop_source stop;
  Budget budget(1);
  const Budget::Lease held = *budget.try_take(1);
  const Call call = Call(clock).stopped_by(stop.get_token());
  std::jthread taker([&] { EXPECT_EQ(budget.take(call, 1).error().code(), Code::kCancelled); });
  clock.await_waiters(1);
  stop.request_stop();
}

TEST(Budget, ManyThreadsNeverHoldMoreThanTheLimit) {
  const ManualClock clock;
  Budget budget(10);
  std::atomic<std::uint64_t> held = 0;
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&, thread] {
        for (std::uint64_t turn = 0; turn < 300; ++turn) {
          const Budget::Lease lease = budget.take(Call(clock), (turn * 7 + thread) % 11).value();
          EXPECT_LE(held += lease.bytes(), 10);
          held -= lease.bytes();
        }
      });
    }
  }
  EXPECT_EQ(budget.held_bytes(), 0);
}

}  // namespace
}  // namespace weighbridge::sync
