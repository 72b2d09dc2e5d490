#include "cli/stop_on_signal.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"

namespace weighbridge::cli {
namespace {

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

StopOnSignal::StopOnSignal() {
  const sigset_t set = stop_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signals_ = ::signalfd(-1, &set, SFD_CLOEXEC);
  ended_ = ::eventfd(0, EFD_CLOEXEC);
  WB_CHECK(signals_ >= 0 && ended_ >= 0, "the kernel gives no descriptor for signals");
  watcher_ = std::jthread([this] { watch(); });
}

StopOnSignal::~StopOnSignal() {
  const std::uint64_t one = 1;
  WB_CHECK(::write(ended_, &one, sizeof one) == sizeof one, "an eventfd takes its first count");
  watcher_.join();
  ::close(signals_);
  ::close(ended_);
}

void StopOnSignal::watch() {
  std::array<pollfd, 2> ready{pollfd{signals_, POLLIN, 0}, pollfd{ended_, POLLIN, 0}};
  while (::poll(ready.data(), ready.size(), -1) < 0 && errno == EINTR) {
  }
  if ((ready[0].revents & POLLIN) == 0) {
    return;
  }
  signalfd_siginfo info{};
  (void)!::read(signals_, &info, sizeof info);  // takes the signal out
  stop_.request_stop();
  // The next one comes to this thread, and does what signals do.
  const sigset_t set = stop_signals();
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  while (::poll(&ready[1], 1, -1) < 0 && errno == EINTR) {
  }
}

}  // namespace weighbridge::cli
