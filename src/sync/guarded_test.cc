#include "sync/guarded.h"

#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace weighbridge::sync {
namespace {

TEST(Guarded, ThreadsChangeItOneAfterTheOther) {
  Guarded<int> counter(0);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int turn = 0; turn < 1000; ++turn) {
          counter.with([](int& value) { ++value; });
        }
      });
    }
  }
  EXPECT_EQ(counter.with([](int& value) { return value; }), 4000);
}

TEST(Guarded, HandsOutMoveOnlyResults) {
  Guarded<std::unique_ptr<int>> guarded(std::make_unique<int>(7));
  const auto taken = guarded.with([](std::unique_ptr<int>& value) { return std::move(value); });
  EXPECT_EQ(*taken, 7);
}

TEST(Guarded, IsReadThroughConst) {
  const Guarded<int> guarded(3);
  EXPECT_EQ(guarded.with([](const int& value) { return value; }), 3);
}

}  // namespace
}  // namespace weighbridge::sync
