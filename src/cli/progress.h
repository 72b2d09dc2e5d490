#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "cli/command.h"
#include "transfer/transfer.h"

namespace weighbridge::cli {

// How far one file is.
struct FileSample {
  std::string path;
  std::uint64_t done_bytes = 0;
  std::uint64_t wanted_bytes = 0;
};

// How far something is.
struct ProgressSample {
  std::uint64_t done_bytes = 0;
  std::uint64_t wanted_bytes = 0;
  base::Duration elapsed{};
  std::uint64_t found_bytes = 0;  // of those done: were there before it began
  std::uint64_t files_done = 0;
  std::uint64_t files = 0;                 // 0: not counted
  std::vector<FileSample> under_way = {};  // those of which parts are done
};

// "loading: 45.2 MiB of 86.7 MiB, 1.10 GiB/s, 0:03 left".
std::string progress_line(std::string_view doing, const ProgressSample& sample);
// The same behind a bar, at most `columns` wide.
std::string progress_bar(std::string_view doing, const ProgressSample& sample, std::size_t columns);
// A line for each of the largest files under way, kMostFiles at most, none wider than `columns`.
std::vector<std::string> progress_files(const ProgressSample& sample, std::size_t columns);
// The object {"progress": {...}} and a newline. (docs/cli.md)
std::string progress_json(std::string_view doing, const ProgressSample& sample);

// Shows the progress of what its owner does meanwhile: a bar on a terminal, with the largest files
// below it, redrawn in place and wiped at the end; elsewhere a line every kLineInterval; and a line
// for each note, soon after it is made. With --json an object a line, every kJsonInterval. With
// --quiet nothing. Confined to its owner, who leaves `err` alone while it lives.
class ProgressDisplay {
 public:
  static constexpr base::Duration kBarInterval = std::chrono::milliseconds(100);
  static constexpr base::Duration kLineInterval = std::chrono::seconds(5);
  static constexpr base::Duration kJsonInterval = std::chrono::seconds(1);

  // Gives how far it is, but for `elapsed`; called from a thread of the display.
  using TakeSample = std::function<ProgressSample()>;

  // `doing`: a literal. `clock`, `progress` and `err` outlive the display.
  ProgressDisplay(const base::Clock& clock,
                  std::string_view doing,
                  const transfer::Progress& progress,
                  Output& err,
                  Style style);
  // The same of what is told otherwise; `notes` outlive the display.
  ProgressDisplay(const base::Clock& clock,
                  std::string_view doing,
                  TakeSample sample,
                  transfer::Notes& notes,
                  Output& err,
                  Style style);
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;
  ~ProgressDisplay();

 private:
  void draw(const std::stop_token& stop, std::size_t columns);
  void write_lines(const std::stop_token& stop, base::Duration interval);
  // The notes since the last look, a line each.
  std::string noted() const;
  ProgressSample sample() const;
  // Takes away what was drawn last.
  std::string wipe() const;

  const base::Clock& clock_;
  const std::string_view doing_;
  const TakeSample sample_;
  transfer::Notes& notes_;
  Output& err_;
  const bool json_;
  const base::TimePoint began_;
  std::size_t drawn_lines_ = 0;
  std::jthread painter_;
};

}  // namespace weighbridge::cli
