#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <span>

#include "base/call.h"
#include "loader/tensor_sink.h"

namespace weighbridge::loader {

// What has arrived and is not taken yet, in order of arrival. Holds as many as there are tensors:
// the receiving threads never wait here, as what they receive into is bounded. Thread-safe.
class Arrivals {
 public:
  void push(std::span<const TensorSink::Arrival> arrived);

  // Waits for one. Nothing once closed and empty.
  base::Result<std::optional<TensorSink::Arrival>> pop(const base::Call& call);

  // There will be no more; what is inside can still be popped.
  void close();

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<TensorSink::Arrival> arrived_;
  bool closed_ = false;
};

}  // namespace weighbridge::loader
