#include "base/call.h"

#include <chrono>

#include <gtest/gtest.h>

#include "testing/manual_clock.h"

namespace weighbridge::base {
namespace {

using std::chrono::seconds;
using testing::ManualClock;

TEST(Call, HasNoEndUnlessGivenOne) {
  const ManualClock clock;
  const Call call(clock);
  EXPECT_EQ(call.remaining(), Duration::max());
  EXPECT_TRUE(call.check().ok());
}

TEST(Call, FailsOnceItsDeadlineHasCome) {
  ManualClock clock;
  const Call call = Call(clock).within(seconds(10));
  clock.advance(seconds(9));
  EXPECT_EQ(call.remaining(), seconds(1));
  EXPECT_TRUE(call.check().ok());
  clock.advance(seconds(1));
  EXPECT_EQ(call.check().error().code(), Code::kTimedOut);
  clock.advance(seconds(1));
  EXPECT_EQ(call.remaining(), seconds(0));
}

TEST(Call, IsOnlyEverNarrowed) {
  const ManualClock clock;
  const Call call = Call(clock).within(seconds(10));
  EXPECT_EQ(call.within(seconds(5)).remaining(), seconds(5));
  EXPECT_EQ(call.within(seconds(50)).remaining(), seconds(10));
  EXPECT_EQ(call.within(Duration::max()).remaining(), seconds(10));
  EXPECT_EQ(call.until(TimePoint::max()).remaining(), seconds(10));
}

TEST(Call, AStopRequestEndsItBeforeItsDeadlineDoes) {
  ManualClock clock;
  std::stop_source stop;
  const Call call = Call(clock).within(seconds(1)).stopped_by(stop.get_token());
  EXPECT_TRUE(call.check().ok());
  stop.request_stop();
  clock.advance(seconds(1));
  EXPECT_EQ(call.check().error().code(), Code::kCancelled);
}

TEST(SystemClock, SleepsToATimeThatHasPassedAtOnceAndNotAtAllWhenStopped) {
  const Clock& clock = system_clock();
  EXPECT_TRUE(clock.sleep_until(clock.now(), std::stop_token()));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(clock.sleep_until(TimePoint::max(), stop.get_token()));
}

TEST(SystemClock, AWaitEndsWhenItsConditionHolds) {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  const Clock& clock = system_clock();
  const auto yes = [] { return true; };
  EXPECT_TRUE(clock.wait(lock, changed, TimePoint::max(), std::stop_token(), yes));
  const auto no = [] { return false; };
  EXPECT_FALSE(clock.wait(lock, changed, clock.now(), std::stop_token(), no));
}

}  // namespace
}  // namespace weighbridge::base
