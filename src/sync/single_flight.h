#pragma once

#include <condition_variable>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/call.h"

namespace weighbridge::sync {

// The same thing, wanted by many at once, is fetched once. The first to want a key leads: its
// thread fetches. Those who want the key meanwhile wait, each until the deadline or stop of its own
// call, and get a copy of what came, value or error. Who comes later fetches anew: this is no
// cache. `Value` is copied to each, so it is small or a shared_ptr to const. Thread-safe.
template <typename Key, typename Value>
class SingleFlight {
 public:
  SingleFlight() = default;
  SingleFlight(const SingleFlight&) = delete;
  SingleFlight& operator=(const SingleFlight&) = delete;

  // `fetch` is callable as Result<Value>() and throws nothing; it runs in this thread, or not at
  // all, and must not want the same key. A leader whose own call ends before it has a value does
  // not fail the others: one of them takes over and fetches with its own `fetch`.
  template <typename Fetch>
  base::Result<Value> run(const base::Call& call, const Key& key, Fetch&& fetch);

  // How many wait for what another fetches.
  std::size_t waiting(const Key& key) const;

 private:
  // Stands in flights_ until it has an outcome or nobody wants it any more.
  struct Flight {
    bool led = false;
    std::size_t waiting = 0;
    std::optional<base::Result<Value>> outcome;
  };

  static base::Result<Value> copy(const base::Result<Value>& result) {
    return result.ok() ? base::Result<Value>(result.value())
                       : base::Result<Value>(result.error().copy());
  }

  // Both are called with the lock held, which the second gives up while it fetches.
  std::shared_ptr<Flight> join(const Key& key);
  template <typename Fetch>
  base::Result<Value> lead(std::unique_lock<std::mutex>& lock,
                           const base::Call& call,
                           const Key& key,
                           Flight& flight,
                           Fetch&& fetch);

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<Key, std::shared_ptr<Flight>> flights_;
};

template <typename Key, typename Value>
template <typename Fetch>
base::Result<Value> SingleFlight<Key, Value>::run(const base::Call& call,
                                                  const Key& key,
                                                  Fetch&& fetch) {
  std::unique_lock lock(mutex_);
  const std::shared_ptr<Flight> flight = join(key);
  ++flight->waiting;
  call.clock().wait(lock, changed_, call.deadline(), call.stop(), [&] {
    return flight->outcome.has_value() || !flight->led;
  });
  --flight->waiting;
  if (flight->outcome) {
    return copy(*flight->outcome);
  }
  if (flight->led) {
    TRY(call.check());
    return base::Error(base::Code::kTimedOut, "the deadline passed while another thread fetched");
  }
  return lead(lock, call, key, *flight, std::forward<Fetch>(fetch));
}

template <typename Key, typename Value>
std::size_t SingleFlight<Key, Value>::waiting(const Key& key) const {
  const std::scoped_lock lock(mutex_);
  const auto found = flights_.find(key);
  return found == flights_.end() ? 0 : found->second->waiting;
}

template <typename Key, typename Value>
auto SingleFlight<Key, Value>::join(const Key& key) -> std::shared_ptr<Flight> {
  std::shared_ptr<Flight>& flight = flights_[key];
  if (flight == nullptr) {
    flight = std::make_shared<Flight>();
  }
  return flight;
}

template <typename Key, typename Value>
template <typename Fetch>
base::Result<Value> SingleFlight<Key, Value>::lead(std::unique_lock<std::mutex>& lock,
                                                   const base::Call& call,
                                                   const Key& key,
                                                   Flight& flight,
                                                   Fetch&& fetch) {
  flight.led = true;
  lock.unlock();
  base::Result<Value> result = std::forward<Fetch>(fetch)();
  const bool call_ended = !result.ok() && !call.check().ok();
  lock.lock();
  flight.led = false;
  if (!call_ended || flight.waiting == 0) {
    flight.outcome = copy(result);
    flights_.erase(key);
  }
  changed_.notify_all();
  return result;
}

}  // namespace weighbridge::sync
