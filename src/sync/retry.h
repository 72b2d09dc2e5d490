#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <utility>

#include "base/call.h"

namespace weighbridge::sync {

// Where the jitter comes from: any 64 bits. Called by every thread that retries.
using RandomSource = std::function<std::uint64_t()>;

// A generator that may be called from any thread.
RandomSource seeded_random(std::uint64_t seed);

struct RetryPolicy {
  unsigned max_tries = 8;
  // Before try n + 1 we wait a random time between 0 and the lesser of base * 2^(n-1) and cap
  // ("full jitter"), so that many who failed together do not come back together.
  std::chrono::milliseconds base{100};
  std::chrono::milliseconds cap{10'000};
  // An origin that asks for a longer pause than this is given up on.
  std::chrono::milliseconds longest_pause{300'000};
  // May the same thing be tried again? What the table of codes says, unless replaced.
  std::function<bool(const base::Error&)> may_retry = [](const base::Error& error) {
    return base::facts(error.code()).retry;
  };
  // Told before each wait: what failed, how many tries there were, how long it waits.
  std::function<void(const base::Error& error, unsigned tries, base::Duration pause)> on_wait = {};
};

// The one retry loop. Thread-safe if its random source is.
class Retry {
 public:
  Retry(RetryPolicy policy, RandomSource random)
      : policy_(std::move(policy)), random_(std::move(random)) {}

  // Runs `operation`, callable as Result<T>(), until it succeeds or trying again is pointless: its
  // error may not be retried, the tries are used up, or the wait before the next would pass the
  // call's deadline (which is known at once, so nothing waits in vain). Returns the last error,
  // with the number of tries in its message where there were several. kCancelled if the call is
  // stopped while it waits. Error::retry_after() is the least wait.
  template <typename Operation>
  std::invoke_result_t<Operation&> run(const base::Call& call, Operation&& operation) const;

 private:
  // Waits before the next try; fails with what run() is to return if there shall be none.
  base::Result<void> wait_to_retry(const base::Call& call,
                                   unsigned tries,
                                   const base::Error& last) const;
  base::Duration pause_after(unsigned tries, const base::Error& last) const;

  const RetryPolicy policy_;
  const RandomSource random_;
};

template <typename Operation>
std::invoke_result_t<Operation&> Retry::run(const base::Call& call, Operation&& operation) const {
  for (unsigned tries = 1;; ++tries) {
    auto result = operation();
    if (result.ok()) {
      return result;
    }
    TRY(wait_to_retry(call, tries, result.error()));
  }
}

}  // namespace weighbridge::sync
