#include "sync/retry.h"

#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/manual_clock.h"

namespace weighbridge::sync {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using testing::ManualClock;

// Time passes by itself whenever the loop waits.
class RetryTest : public ::testing::Test {
 protected:
  // Fails `failures` times with `error`, then gives the number of its runs.
  Result<int> run(const Retry& retry, const Call& call, int failures, const Error& error) {
    return retry.run(call, [&]() -> Result<int> {
      times_.push_back(clock_.elapsed());
      if (static_cast<int>(times_.size()) <= failures) {
        return error.copy();
      }
      return static_cast<int>(times_.size());
    });
  }

  ManualClock clock_{ManualClock::Waits::kJumpToTheirEnd};
  Call call_{clock_};
  std::vector<base::Duration> times_;  // when each try began
};

const RandomSource& no_jitter() {
  static const RandomSource zero = [] { return std::uint64_t{0}; };
  return zero;
}

TEST_F(RetryTest, TriesAgainUntilItSucceeds) {
  const Retry retry({}, seeded_random(1));
  EXPECT_EQ(run(retry, call_, 3, Error(Code::kUnavailable, "gone")).value(), 4);
}

TEST_F(RetryTest, DoesNotTryAgainWhatTheTableForbids) {
  const Retry retry({}, seeded_random(1));
  const auto result = run(retry, call_, 9, Error(Code::kDenied, "no"));
  EXPECT_EQ(result.error().code(), Code::kDenied);
  EXPECT_EQ(result.error().message(), "no");
  EXPECT_EQ(times_.size(), 1);
}

TEST_F(RetryTest, ThePredicateReplacesTheTable) {
  RetryPolicy policy;
  policy.may_retry = [](const Error& error) { return error.code() == Code::kCorrupt; };
  const Retry retry(policy, seeded_random(1));
  EXPECT_EQ(run(retry, call_, 1, Error(Code::kCorrupt, "bad bytes")).value(), 2);
  times_.clear();
  EXPECT_FALSE(run(retry, call_, 1, Error(Code::kBusy, "busy")).ok());
}

TEST_F(RetryTest, GivesTheLastErrorAndTheNumberOfTriesWhenTheyAreUsedUp) {
  const Retry retry({.max_tries = 3}, seeded_random(1));
  const auto result = run(retry, call_, 9, Error(Code::kBusy, "busy").in_file("http://x/"));
  EXPECT_EQ(result.error().code(), Code::kBusy);
  EXPECT_EQ(result.error().message(), "gave up after 3 tries: busy");
  EXPECT_EQ(result.error().file(), "http://x/");
  EXPECT_EQ(times_.size(), 3);
}

TEST_F(RetryTest, TheMostItWaitsDoublesUpToTheCap) {
  // This source asks for the most that each wait may be.
  milliseconds ceiling(100);
  const Retry retry({.max_tries = 12}, [&] {
    const base::Duration most = std::exchange(ceiling, std::min(ceiling * 2, milliseconds(10'000)));
    return static_cast<std::uint64_t>(most.count());
  });
  ASSERT_TRUE(run(retry, call_, 9, Error(Code::kUnavailable, "gone")).ok());
  std::vector<base::Duration> pauses;
  for (std::size_t i = 1; i < times_.size(); ++i) {
    pauses.push_back(times_[i] - times_[i - 1]);
  }
  EXPECT_THAT(pauses,
              ::testing::ElementsAre(milliseconds(100),
                                     milliseconds(200),
                                     milliseconds(400),
                                     milliseconds(800),
                                     milliseconds(1600),
                                     milliseconds(3200),
                                     milliseconds(6400),
                                     milliseconds(10'000),
                                     milliseconds(10'000)));
}

TEST_F(RetryTest, TheJitterIsSpreadOverTheWholeInterval) {
  const Retry retry({}, seeded_random(5));
  int early = 0;
  int late = 0;
  for (int i = 0; i < 200; ++i) {
    const base::Duration begin = clock_.elapsed();
    times_.clear();
    ASSERT_TRUE(run(retry, call_, 1, Error(Code::kBusy, "busy")).ok());
    const base::Duration pause = clock_.elapsed() - begin;
    ASSERT_LE(pause, milliseconds(100));
    early += pause < milliseconds(25) ? 1 : 0;
    late += pause > milliseconds(75) ? 1 : 0;
  }
  EXPECT_GT(early, 25);
  EXPECT_GT(late, 25);
}

TEST_F(RetryTest, WaitsAtLeastAsLongAsTheOtherSideAsked) {
  const Retry retry({}, no_jitter());
  ASSERT_TRUE(run(retry, call_, 1, Error(Code::kBusy, "busy").with_retry_after(seconds(7))).ok());
  EXPECT_EQ(clock_.elapsed(), seconds(7));
}

TEST_F(RetryTest, GivesUpAtOnceWhereTheWaitWouldPassTheDeadline) {
  const Retry retry({}, no_jitter());
  const auto result = run(
      retry, call_.within(seconds(5)), 9, Error(Code::kBusy, "busy").with_retry_after(seconds(6)));
  EXPECT_EQ(result.error().code(), Code::kBusy);
  EXPECT_THAT(result.error().message(), HasSubstr("gave up after 1 try"));
  EXPECT_THAT(result.error().message(), HasSubstr("deadline"));
  EXPECT_EQ(clock_.elapsed(), seconds(0));
}

TEST_F(RetryTest, GivesUpOnAPauseWithoutMeasure) {
  const Retry retry({}, no_jitter());
  const auto result =
      run(retry, call_, 9, Error(Code::kBusy, "busy").with_retry_after(milliseconds::max()));
  EXPECT_THAT(result.error().message(), HasSubstr("too long a pause"));
  EXPECT_EQ(clock_.elapsed(), seconds(0));
}

TEST_F(RetryTest, AStopRequestEndsTheLoop) {
  const Retry retry({}, seeded_random(1));
  std::stop_source stop;
  stop.request_stop();
  const auto result =
      run(retry, call_.stopped_by(stop.get_token()), 9, Error(Code::kUnavailable, "gone"));
  EXPECT_EQ(result.error().code(), Code::kCancelled);
  EXPECT_THAT(result.error().message(), HasSubstr("gone"));
  EXPECT_EQ(times_.size(), 1);
}

TEST_F(RetryTest, PassesMoveOnlyValuesAndPlainSuccess) {
  const Retry retry({}, seeded_random(1));
  const auto value =
      retry.run(call_, [] { return Result<std::unique_ptr<int>>(std::make_unique<int>(7)); });
  EXPECT_EQ(**value, 7);
  EXPECT_TRUE(retry.run(call_, [] { return Result<void>(); }).ok());
}

TEST(Retry, MayBeUsedByManyThreadsAtOnce) {
  const ManualClock clock(ManualClock::Waits::kJumpToTheirEnd);
  const Retry retry({}, seeded_random(1));
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      int tries = 0;
      EXPECT_TRUE(retry
                      .run(Call(clock),
                           [&]() -> Result<int> {
                             if (++tries < 5) {
                               return Error(Code::kBusy, "busy");
                             }
                             return tries;
                           })
                      .ok());
    });
  }
}

}  // namespace
}  // namespace weighbridge::sync
