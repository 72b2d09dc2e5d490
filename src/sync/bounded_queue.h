#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "base/call.h"

namespace weighbridge::sync {

// Hands items from threads to threads, never holding more than `limit`. Thread-safe.
template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t limit) : limit_(limit) {}

  // Waits for room. kCancelled if the queue is closed or the call is stopped, kTimedOut after its
  // deadline; the item is then dropped.
  base::Result<void> push(const base::Call& call, T item);
  // Waits for an item. Nothing once the queue is closed and empty.
  base::Result<std::optional<T>> pop(const base::Call& call);
  // No more pushes; what is inside can still be popped. May be called twice.
  void close();

 private:
  const std::size_t limit_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<T> items_;
  bool closed_ = false;
};

template <typename T>
base::Result<void> BoundedQueue<T>::push(const base::Call& call, T item) {
  std::unique_lock lock(mutex_);
  call.clock().wait(lock, changed_, call.deadline(), call.stop(), [&] {
    return closed_ || items_.size() < limit_;
  });
  if (closed_) {
    return base::Error(base::Code::kCancelled, "the queue was closed");
  }
  if (items_.size() >= limit_) {
    TRY(call.check());
    return base::Error(base::Code::kTimedOut, "the deadline passed while waiting for room");
  }
  items_.push_back(std::move(item));
  changed_.notify_all();
  return {};
}

template <typename T>
base::Result<std::optional<T>> BoundedQueue<T>::pop(const base::Call& call) {
  std::unique_lock lock(mutex_);
  call.clock().wait(
      lock, changed_, call.deadline(), call.stop(), [&] { return closed_ || !items_.empty(); });
  if (items_.empty()) {
    if (closed_) {
      return std::optional<T>();
    }
    TRY(call.check());
    return base::Error(base::Code::kTimedOut, "the deadline passed while waiting for an item");
  }
  std::optional<T> item(std::move(items_.front()));
  items_.pop_front();
  changed_.notify_all();
  return item;
}

template <typename T>
void BoundedQueue<T>::close() {
  const std::scoped_lock lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

}  // namespace weighbridge::sync
