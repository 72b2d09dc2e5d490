#include "cli/stop_on_signal.h"

#include <csignal>
#include <semaphore>

#include <unistd.h>

#include <gtest/gtest.h>

namespace weighbridge::cli {
namespace {

TEST(StopOnSignal, TurnsASignalIntoAStopRequest) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const StopOnSignal stop;
    std::binary_semaphore stopped(0);
    const std::stop_callback notice(stop.token(), [&] { stopped.release(); });
    EXPECT_FALSE(stop.token().stop_requested());
    ::kill(::getpid(), signal);
    stopped.acquire();
    EXPECT_TRUE(stop.token().stop_requested());
  }
}

TEST(StopOnSignal, EndsWithoutASignal) {
  const StopOnSignal stop;
  EXPECT_FALSE(stop.token().stop_requested());
}

}  // namespace
}  // namespace weighbridge::cli
