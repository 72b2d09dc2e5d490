// An origin that sends each answer at a rate of its own, in steps of 20 ms, and, once armed, stalls
// one of them for 30 s.
//
//   origin_server DIR PORT BYTES-PER-SECOND MIDDLE
//
// Prints "listening" and serves until its standard input ends. A line "arm": the next answer that
// holds byte MIDDLE of its file stops after 1 MiB. A line "bytes": prints how many bytes of bodies
// were sent so far.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <string>

#include <poll.h>
#include <unistd.h>

#include "base/units.h"
#include "testing/http_server.h"
#include "turns.h"

namespace weighbridge::bench {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kStall{30};

// The rate of answers, which of them stalls, and since when. Thread-safe.
class Rates {
 public:
  Rates(std::uint64_t bytes_per_second, std::uint64_t middle)
      : bytes_per_second_(bytes_per_second), middle_(middle) {}

  void arm() { armed_ = true; }

  testing::Fault of(const testing::HttpRequest& request) {
    testing::Fault fault;
    fault.bytes_per_second = bytes_per_second_;
    const bool holds_middle =
        request.range && request.range->begin <= middle_ && middle_ < request.range->end;
    if (holds_middle && armed_.exchange(false)) {
      fault.stall_after = base::kMiB;
      began_ = steady_clock::now();
    }
    return fault;
  }

  bool is_over() const {
    const steady_clock::time_point began = began_;
    return began != steady_clock::time_point() && steady_clock::now() > began + kStall;
  }

 private:
  const std::uint64_t bytes_per_second_;
  const std::uint64_t middle_;
  std::atomic<bool> armed_ = false;
  std::atomic<steady_clock::time_point> began_ = steady_clock::time_point();
};

bool readable_within_a_second() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  return ::poll(&input, 1, 1000) > 0;
}

void say(const std::string& line) {
  std::puts(line.c_str());
  std::fflush(stdout);
}

void run(const std::string& directory, int port, Rates& rates) {
  testing::HttpServer server([&](const testing::HttpRequest& request) { return rates.of(request); },
                             port);
  server.serve_directory(directory);
  say("listening");
  for (std::string line; std::cin;) {
    if (rates.is_over()) {
      server.release();
    }
    // One line at a time is asked for and answered, so none waits in the buffer of std::cin.
    if (!readable_within_a_second() || !std::getline(std::cin, line)) {
      continue;
    }
    if (line == "arm") {
      rates.arm();
    }
    say(line == "bytes" ? std::to_string(server.counts().body_bytes) : "ok");
  }
}

}  // namespace
}  // namespace weighbridge::bench

int main(int argc, char** argv) {
  using weighbridge::bench::number;
  if (argc != 5) {
    weighbridge::bench::fail("usage: origin_server DIR PORT BYTES-PER-SECOND MIDDLE");
  }
  weighbridge::bench::Rates rates(number(argv[3]), number(argv[4]));
  weighbridge::bench::run(argv[1], static_cast<int>(number(argv[2])), rates);
}
