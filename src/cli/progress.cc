#include "cli/progress.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/report.h"

namespace weighbridge::cli {
namespace {

constexpr std::size_t kMaxBarColumns = 40;
constexpr std::size_t kMinBarColumns = 10;
constexpr std::size_t kMaxNoteBytes = 4096;
constexpr std::string_view kWipeLine = "\r\x1b[K";

// "0:07", "1:02:03".
std::string clock_time(double all_seconds) {
  const auto whole = static_cast<std::uint64_t>(std::min(all_seconds, 359'999.0));
  const std::uint64_t minutes = whole / 60;
  if (minutes < 60) {
    return fmt::format("{}:{:02}", minutes, whole % 60);
  }
  return fmt::format("{}:{:02}:{:02}", minutes / 60, minutes % 60, whole % 60);
}

std::string amounts(const ProgressSample& sample) {
  std::string text = fmt::format(
      "{} of {}", base::format_bytes(sample.done_bytes), base::format_bytes(sample.wanted_bytes));
  const double elapsed = seconds(sample.elapsed);
  if (sample.done_bytes > 0 && elapsed > 0) {
    const double rate = static_cast<double>(sample.done_bytes) / elapsed;
    const auto missing = static_cast<double>(sample.wanted_bytes - sample.done_bytes);
    text += fmt::format(", {}/s, {} left",
                        base::format_bytes(static_cast<std::uint64_t>(rate)),
                        clock_time(missing / rate));
  }
  return text;
}

}  // namespace

std::string progress_line(std::string_view doing, const ProgressSample& sample) {
  return fmt::format("{}: {}", doing, amounts(sample));
}

std::string progress_bar(std::string_view doing,
                         const ProgressSample& sample,
                         std::size_t columns) {
  const std::string text = progress_line(doing, sample);
  const std::size_t used = text.size() + 3;  // the bar's brackets and a space
  if (columns < used + kMinBarColumns) {
    return text.substr(0, columns);
  }
  const std::size_t width = std::min(columns - used, kMaxBarColumns);
  const double part = sample.wanted_bytes == 0 ? 0
                                               : static_cast<double>(sample.done_bytes) /
                                                     static_cast<double>(sample.wanted_bytes);
  const auto full = static_cast<std::size_t>(part * static_cast<double>(width));
  return fmt::format("[{}{}] {}", std::string(full, '#'), std::string(width - full, '.'), text);
}

ProgressDisplay::ProgressDisplay(const base::Clock& clock,
                                 std::string_view doing,
                                 const transfer::Progress& progress,
                                 Output& err,
                                 Style style)
    : clock_(clock), doing_(doing), progress_(progress), err_(err), began_(clock.now()) {
  if (style.json || style.quiet) {
    return;
  }
  painter_ = std::jthread(
      [this, columns = err.columns()](const std::stop_token& stop) { draw(stop, columns); });
}

ProgressDisplay::~ProgressDisplay() {
  if (!painter_.joinable()) {
    return;
  }
  painter_.request_stop();
  painter_.join();
  const std::string last = (drawn_ ? std::string(kWipeLine) : std::string()) + noted();
  if (!last.empty()) {
    (void)err_.write(last);
  }
}

std::string ProgressDisplay::noted() const {
  std::string text;
  for (const std::string& note : progress_.notes.take()) {
    text += base::printable(note, kMaxNoteBytes) + "\n";
  }
  return text;
}

void ProgressDisplay::draw(const std::stop_token& stop, std::size_t columns) {
  const bool is_terminal = columns > 0;
  base::TimePoint next_line = began_ + kLineInterval;
  while (clock_.sleep_until(clock_.now() + kBarInterval, stop)) {
    std::string text = noted();
    if (is_terminal) {
      text = std::string(kWipeLine) + text + progress_bar(doing_, sample(), columns);
    } else if (clock_.now() >= next_line) {
      next_line += kLineInterval;
      text += progress_line(doing_, sample()) + "\n";
    }
    if (!text.empty() && !err_.write(text).ok()) {
      return;  // nobody looks
    }
    drawn_ = is_terminal;
  }
}

ProgressSample ProgressDisplay::sample() const {
  const std::uint64_t wanted = progress_.wanted_bytes;
  // What was fetched twice counts once.
  const std::uint64_t done = std::min<std::uint64_t>(progress_.received_bytes, wanted);
  return {done, wanted, clock_.now() - began_};
}

}  // namespace weighbridge::cli
