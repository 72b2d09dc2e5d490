#include "pack/in_parallel.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "sync/guarded.h"

namespace weighbridge::pack {
namespace {

using base::Call;
using base::Error;
using base::Result;
using Work = std::function<Result<void>(const Call&, std::size_t)>;

// Confined to in_parallel(), but for work().
class Crew {
 public:
  Crew(const Call& call, std::size_t count, const Work& work)
      : count_(count),
        work_(work),
        call_(call.stopped_by(stop_.get_token())),
        outer_stop_(call.stop(), [this] { stop_.request_stop(); }) {}

  // Thread-safe.
  void work() {
    for (std::size_t i = next_++; i < count_ && !stop_.stop_requested(); i = next_++) {
      auto done = work_(call_, i);
      if (!done.ok()) {
        failure_.with([&](std::optional<Error>& first) {
          first = first ? std::move(first) : std::move(done).error();
        });
        stop_.request_stop();
      }
    }
  }

  std::optional<Error> failure() {
    return failure_.with([](std::optional<Error>& first) { return std::move(first); });
  }

 private:
  std::stop_source stop_;
  const std::size_t count_;
  const Work& work_;
  const Call call_;
  const std::stop_callback<std::function<void()>> outer_stop_;
  std::atomic<std::size_t> next_ = 0;
  sync::Guarded<std::optional<Error>> failure_;
};

}  // namespace

Result<void> in_parallel(const Call& call,
                         std::size_t count,
                         std::size_t threads,
                         const Work& work) {
  Crew crew(call, count, work);
  {
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < std::min(threads, count); ++i) {
      others.emplace_back([&] { crew.work(); });
    }
    crew.work();
  }
  TRY(call.check());
  auto failure = crew.failure();
  if (failure) {
    return std::move(*failure);
  }
  return {};
}

}  // namespace weighbridge::pack
