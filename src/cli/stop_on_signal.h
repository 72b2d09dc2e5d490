#pragma once

#include <stop_token>
#include <thread>

namespace weighbridge::cli {

// Turns the first SIGINT or SIGTERM into a stop request; the second ends the process at once.
// Made by `main` before any other thread, so that all of them leave the signals to this one.
// Confined to `main`.
class StopOnSignal {
 public:
  StopOnSignal();
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;
  ~StopOnSignal();

  std::stop_token token() const { return stop_.get_token(); }

 private:
  void watch();

  std::stop_source stop_;
  int signals_ = -1;  // a signalfd
  int ended_ = -1;    // an eventfd: the program ends by itself
  std::jthread watcher_;
};

}  // namespace weighbridge::cli
