#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>

#include "base/clock.h"
#include "cli/command.h"
#include "transfer/transfer.h"

namespace weighbridge::cli {

// How far something is.
struct ProgressSample {
  std::uint64_t done_bytes = 0;
  std::uint64_t wanted_bytes = 0;
  base::Duration elapsed{};
};

// "loading: 45.2 MiB of 86.7 MiB, 1.10 GiB/s, 0:03 left".
std::string progress_line(std::string_view doing, const ProgressSample& sample);
// The same behind a bar, at most `columns` wide.
std::string progress_bar(std::string_view doing, const ProgressSample& sample, std::size_t columns);

// Shows the progress of what its owner does meanwhile: a bar on a terminal, redrawn in place and
// wiped at the end; elsewhere a line every kLineInterval; and a line for each note, soon after it
// is made. With --json or --quiet nothing. Confined to its owner, who leaves `err` alone while it
// lives.
class ProgressDisplay {
 public:
  static constexpr base::Duration kBarInterval = std::chrono::milliseconds(100);
  static constexpr base::Duration kLineInterval = std::chrono::seconds(5);

  // `doing`: a literal. `clock`, `progress` and `err` outlive the display.
  ProgressDisplay(const base::Clock& clock,
                  std::string_view doing,
                  const transfer::Progress& progress,
                  Output& err,
                  Style style);
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;
  ~ProgressDisplay();

 private:
  void draw(const std::stop_token& stop, std::size_t columns);
  // The notes since the last look, a line each.
  std::string noted() const;
  ProgressSample sample() const;

  const base::Clock& clock_;
  const std::string_view doing_;
  const transfer::Progress& progress_;
  Output& err_;
  const base::TimePoint began_;
  bool drawn_ = false;
  std::jthread painter_;
};

}  // namespace weighbridge::cli
