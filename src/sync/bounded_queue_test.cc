#include "sync/bounded_queue.h"

#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "sync/guarded.h"
#include "testing/manual_clock.h"

namespace weighbridge::sync {
namespace {

using base::Call;
using base::Code;
using std::chrono::seconds;
using testing::ManualClock;

TEST(BoundedQueue, GivesItemsInTheOrderTheyCame) {
  const ManualClock clock;
  const Call call(clock);
  BoundedQueue<std::unique_ptr<int>> queue(2);
  ASSERT_TRUE(queue.push(call, std::make_unique<int>(1)).ok());
  ASSERT_TRUE(queue.push(call, std::make_unique<int>(2)).ok());
  EXPECT_EQ(**queue.pop(call).value(), 1);
  EXPECT_EQ(**queue.pop(call).value(), 2);
}

TEST(BoundedQueue, APushIntoAFullQueueWaitsForRoom) {
  const ManualClock clock;
  const Call call(clock);
  BoundedQueue<int> queue(1);
  ASSERT_TRUE(queue.push(call, 1).ok());
  std::jthread pusher([&] { EXPECT_TRUE(queue.push(call, 2).ok()); });
  clock.await_waiters(1);
  EXPECT_EQ(queue.pop(call).value(), 1);
  EXPECT_EQ(queue.pop(call).value(), 2);
}

TEST(BoundedQueue, WaitsNoLongerThanTheDeadline) {
  ManualClock clock(ManualClock::Waits::kJumpToTheirEnd);
  const Call call = Call(clock).within(seconds(3));
  BoundedQueue<int> queue(1);
  EXPECT_EQ(queue.pop(call).error().code(), Code::kTimedOut);
  EXPECT_EQ(clock.elapsed(), seconds(3));
  const Call later = Call(clock).within(seconds(4));
  ASSERT_TRUE(queue.push(later, 1).ok());
  EXPECT_EQ(queue.push(later, 2).error().code(), Code::kTimedOut);
  EXPECT_EQ(clock.elapsed(), seconds(7));
}

TEST(BoundedQueue, AStopRequestEndsAWait) {
  const ManualClock clock;
  std::stop_source stop;
  const Call call = Call(clock).stopped_by(stop.get_token());
  BoundedQueue<int> queue(1);
  std::jthread popper([&] { EXPECT_EQ(queue.pop(call).error().code(), Code::kCancelled); });
  clock.await_waiters(1);
  stop.request_stop();
}

TEST(BoundedQueue, AClosedQueueGivesWhatIsInsideAndThenNothing) {
  const ManualClock clock;
  const Call call(clock);
  BoundedQueue<int> queue(2);
  ASSERT_TRUE(queue.push(call, 1).ok());
  queue.close();
  queue.close();
  EXPECT_EQ(queue.push(call, 2).error().code(), Code::kCancelled);
  EXPECT_EQ(queue.pop(call).value(), 1);
  EXPECT_EQ(queue.pop(call).value(), std::nullopt);
}

TEST(BoundedQueue, ClosingWakesThoseWhoWait) {
  const ManualClock clock;
  const Call call(clock);
  BoundedQueue<int> full(1);
  BoundedQueue<int> empty(1);
  ASSERT_TRUE(full.push(call, 1).ok());
  std::jthread pusher([&] { EXPECT_EQ(full.push(call, 2).error().code(), Code::kCancelled); });
  std::jthread popper([&] { EXPECT_EQ(empty.pop(call).value(), std::nullopt); });
  clock.await_waiters(2);
  full.close();
  empty.close();
}

TEST(BoundedQueue, LosesAndDoublesNothingBetweenManyThreads) {
  const ManualClock clock;
  const Call call(clock);
  BoundedQueue<int> queue(3);
  Guarded<std::vector<int>> seen;
  std::vector<std::jthread> poppers;
  for (int i = 0; i < 3; ++i) {
    poppers.emplace_back([&] {
      while (const auto item = queue.pop(call).value()) {
        seen.with([&](std::vector<int>& all) { all.push_back(*item); });
      }
    });
  }
  {
    std::vector<std::jthread> pushers;
    for (int first = 0; first < 3; ++first) {
      pushers.emplace_back([&, first] {
        for (int item = first; item < 300; item += 3) {
          EXPECT_TRUE(queue.push(call, item).ok());
        }
      });
    }
  }
  queue.close();
  poppers.clear();
  std::vector<int> expected(300);
  std::iota(expected.begin(), expected.end(), 0);
  auto all = seen.with([](std::vector<int>& items) { return items; });
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, expected);
}

}  // namespace
}  // namespace weighbridge::sync
