#include "sync/retry.h"

#include <algorithm>
#include <memory>
#include <random>
#include <string_view>

#include <fmt/format.h>

#include "sync/guarded.h"

namespace weighbridge::sync {
namespace {

using base::Code;
using base::Error;

Error give_up(const Error& last, unsigned tries, std::string_view why) {
  if (tries == 1 && why.empty()) {
    return last.copy();
  }
  return last.copy().context(
      fmt::format("gave up after {} {}{}", tries, tries == 1 ? "try" : "tries", why));
}

}  // namespace

RandomSource seeded_random(std::uint64_t seed) {
  const auto engine = std::make_shared<Guarded<std::mt19937_64>>(std::mt19937_64(seed));
  return [engine] { return engine->with([](std::mt19937_64& random) { return random(); }); };
}

base::Result<void> Retry::wait_to_retry(const base::Call& call,
                                        unsigned tries,
                                        const Error& last) const {
  if (!policy_.may_retry(last) || tries >= policy_.max_tries) {
    return give_up(last, tries, "");
  }
  const base::Duration pause = pause_after(tries, last);
  if (pause > policy_.longest_pause) {
    return give_up(last, tries, ", as the other side asks for too long a pause");
  }
  if (pause >= call.remaining()) {
    return give_up(last, tries, ", as the deadline comes before the next");
  }
  if (policy_.on_wait) {
    policy_.on_wait(last, tries, pause);
  }
  if (!call.clock().sleep_until(call.clock().now() + pause, call.stop())) {
    return give_up(last, tries, ", stopped on request").with_code(Code::kCancelled);
  }
  return {};
}

base::Duration Retry::pause_after(unsigned tries, const Error& last) const {
  std::chrono::milliseconds ceiling = policy_.base;
  for (unsigned i = 1; i < tries && ceiling < policy_.cap; ++i) {
    ceiling *= 2;
  }
  const base::Duration most = std::min(ceiling, policy_.cap);
  const auto jitter = random_() % (static_cast<std::uint64_t>(most.count()) + 1);
  // Cut while still in milliseconds: an absurd number would overflow as nanoseconds.
  const auto asked = std::min(last.retry_after().value_or(std::chrono::milliseconds::zero()),
                              policy_.longest_pause + std::chrono::milliseconds(1));
  return std::max<base::Duration>(base::Duration(jitter), asked);
}

}  // namespace weighbridge::sync
