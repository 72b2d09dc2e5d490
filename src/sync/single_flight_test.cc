#include "sync/single_flight.h"

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "testing/manual_clock.h"

namespace weighbridge::sync {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;
using std::chrono::seconds;
using testing::ManualClock;
using Flights = SingleFlight<std::string, int>;

// A fetch that another thread ends, so that a test can say who waits meanwhile.
class SlowFetch {
 public:
  explicit SlowFetch(const ManualClock& clock) : clock_(clock) {}

  Result<int> operator()() {
    ++runs_;
    clock_.sleep_until(base::TimePoint::max(), end_.get_token());
    if (error_.has_value()) {
      return error_->copy();
    }
    return 42;
  }

  void fail_with(Code code) { error_.emplace(code, "the fetch failed"); }

  void end() { end_.request_stop(); }

  int runs() const { return runs_; }

 private:
  const ManualClock& clock_;
  std::stop_source end_;
  std::optional<Error> error_;
  std::atomic<int> runs_ = 0;
};

TEST(SingleFlight, WhatManyWantAtOnceIsFetchedOnce) {
  const ManualClock clock;
  Flights flights;
  SlowFetch fetch(clock);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back(
        [&] { EXPECT_EQ(flights.run(Call(clock), "key", std::ref(fetch)).value(), 42); });
  }
  clock.await_waiters(8);
  EXPECT_EQ(flights.waiting("key"), 7);
  fetch.end();
  threads.clear();
  EXPECT_EQ(fetch.runs(), 1);
}

TEST(SingleFlight, EveryWaiterGetsACopyOfTheError) {
  const ManualClock clock;
  Flights flights;
  SlowFetch fetch(clock);
  fetch.fail_with(Code::kUnavailable);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const auto result = flights.run(Call(clock), "key", std::ref(fetch));
      EXPECT_EQ(result.error().code(), Code::kUnavailable);
      EXPECT_EQ(result.error().message(), "the fetch failed");
    });
  }
  clock.await_waiters(4);
  fetch.end();
  threads.clear();
  EXPECT_EQ(fetch.runs(), 1);
}

TEST(SingleFlight, WhoComesLaterFetchesAnew) {
  const ManualClock clock;
  Flights flights;
  int runs = 0;
  const auto fetch = [&]() -> Result<int> { return ++runs; };
  EXPECT_EQ(flights.run(Call(clock), "key", fetch).value(), 1);
  EXPECT_EQ(flights.run(Call(clock), "key", fetch).value(), 2);
}

TEST(SingleFlight, OtherKeysDoNotWait) {
  const ManualClock clock;
  Flights flights;
  SlowFetch slow(clock);
  std::jthread leader([&] { EXPECT_TRUE(flights.run(Call(clock), "slow", std::ref(slow)).ok()); });
  clock.await_waiters(1);
  EXPECT_EQ(flights.run(Call(clock), "quick", [] { return Result<int>(1); }).value(), 1);
  slow.end();
}

TEST(SingleFlight, AWaiterWaitsNoLongerThanItsOwnCall) {
  ManualClock clock;
  std::stop_source stop;
  Flights flights;
  SlowFetch fetch(clock);
  std::jthread leader([&] { EXPECT_TRUE(flights.run(Call(clock), "key", std::ref(fetch)).ok()); });
  clock.await_waiters(1);
  std::jthread hasty([&] {
    const auto result = flights.run(Call(clock).within(seconds(1)), "key", std::ref(fetch));
    EXPECT_EQ(result.error().code(), Code::kTimedOut);
  });
  std::jthread stopped([&] {
    const auto result =
        flights.run(Call(clock).stopped_by(stop.get_token()), "key", std::ref(fetch));
    EXPECT_EQ(result.error().code(), Code::kCancelled);
  });
  clock.await_waiters(3);
  clock.advance(seconds(1));
  stop.request_stop();
  hasty.join();
  stopped.join();
  fetch.end();
  leader.join();
  EXPECT_EQ(fetch.runs(), 1);
}

TEST(SingleFlight, AWaiterTakesOverFromALeaderThatIsCancelled) {
  const ManualClock clock;
  Flights flights;
  std::stop_source stop;
  SlowFetch given_up(clock);
  given_up.fail_with(Code::kCancelled);
  std::jthread leader([&] {
    const auto result =
        flights.run(Call(clock).stopped_by(stop.get_token()), "key", std::ref(given_up));
    EXPECT_EQ(result.error().code(), Code::kCancelled);
  });
  clock.await_waiters(1);
  SlowFetch fetch(clock);
  fetch.end();
  std::vector<std::jthread> waiters;
  for (int i = 0; i < 3; ++i) {
    waiters.emplace_back(
        [&] { EXPECT_EQ(flights.run(Call(clock), "key", std::ref(fetch)).value(), 42); });
  }
  clock.await_waiters(4);
  stop.request_stop();
  given_up.end();
  waiters.clear();
  EXPECT_EQ(fetch.runs(), 1);
}

TEST(SingleFlight, ALeaderWithNobodyWaitingLeavesNothingBehind) {
  const ManualClock clock;
  Flights flights;
  std::stop_source stop;
  stop.request_stop();
  const Call call = Call(clock).stopped_by(stop.get_token());
  const auto cancelled = [&]() -> Result<int> { return Error(Code::kCancelled, "stopped"); };
  EXPECT_EQ(flights.run(call, "key", cancelled).error().code(), Code::kCancelled);
  EXPECT_EQ(flights.run(Call(clock), "key", [] { return Result<int>(1); }).value(), 1);
}

TEST(SingleFlight, ManyThreadsAndKeysAllGetTheirOwnValue) {
  const ManualClock clock;
  SingleFlight<int, int> flights;
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int turn = 0; turn < 500; ++turn) {
        const int key = turn % 5;
        EXPECT_EQ(flights.run(Call(clock), key, [&] { return Result<int>(key * 10); }).value(),
                  key * 10);
      }
    });
  }
}

}  // namespace
}  // namespace weighbridge::sync
