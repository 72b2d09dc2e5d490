#pragma once

#include <string>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

#include "base/call.h"
#include "base/clock.h"
#include "sync/retry.h"
#include "transfer/transfer.h"

namespace weighbridge::pack {

// How often, and with which pauses, what a registry refuses is tried again; every wait is told.
// Thread-safe if its random source is.
class Patience {
 public:
  static constexpr unsigned kTries = 10;

  // Borrows `progress`, whose notes say what is waited for.
  Patience(sync::RandomSource random, transfer::Progress& progress)
      : random_(std::move(random)), progress_(progress) {}

  // Retry::run of an operation, whose `name` begins the note of each wait.
  template <typename Operation>
  std::invoke_result_t<Operation&> run(const base::Call& call,
                                       const std::string& name,
                                       Operation&& operation) const {
    sync::RetryPolicy policy;
    policy.max_tries = kTries;
    policy.on_wait = [&](const base::Error& error, unsigned tries, base::Duration pause) {
      note(name, error, tries, pause);
    };
    return sync::Retry(std::move(policy), random_).run(call, std::forward<Operation>(operation));
  }

 private:
  void note(const std::string& name,
            const base::Error& error,
            unsigned tries,
            base::Duration pause) const {
    progress_.notes.add(fmt::format("retrying {}: {}, in {:.1f} s (try {} of {})",
                                    name,
                                    error.message(),
                                    std::chrono::duration<double>(pause).count(),
                                    tries + 1,
                                    kTries));
  }

  const sync::RandomSource random_;
  transfer::Progress& progress_;
};

}  // namespace weighbridge::pack
