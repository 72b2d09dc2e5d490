#include "cli/progress.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

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
constexpr std::string_view kWipeLineAbove = "\x1b[1A\x1b[K";
constexpr std::size_t kMostFiles = 4;

// "0:07", "1:02:03".
std::string clock_time(double all_seconds) {
  const auto whole = static_cast<std::uint64_t>(std::min(all_seconds, 359'999.0));
  const std::uint64_t minutes = whole / 60;
  if (minutes < 60) {
    return fmt::format("{}:{:02}", minutes, whole % 60);
  }
  return fmt::format("{}:{:02}:{:02}", minutes / 60, minutes % 60, whole % 60);
}

// Bytes a second, of what did not stand there before; nothing before the first of them.
std::optional<double> rate_of(const ProgressSample& sample) {
  const double elapsed = seconds(sample.elapsed);
  if (sample.done_bytes <= sample.found_bytes || elapsed <= 0) {
    return std::nullopt;
  }
  return static_cast<double>(sample.done_bytes - sample.found_bytes) / elapsed;
}

double seconds_left(const ProgressSample& sample, double rate) {
  return static_cast<double>(sample.wanted_bytes - sample.done_bytes) / rate;
}

std::string amounts(const ProgressSample& sample) {
  std::string text = fmt::format(
      "{} of {}", base::format_bytes(sample.done_bytes), base::format_bytes(sample.wanted_bytes));
  if (sample.files > 1) {
    text += fmt::format(", {} of {} files", sample.files_done, sample.files);
  }
  if (const auto rate = rate_of(sample)) {
    text += fmt::format(", {}/s, {} left",
                        base::format_bytes(static_cast<std::uint64_t>(*rate)),
                        clock_time(seconds_left(sample, *rate)));
  }
  return text;
}

std::vector<FileSample> largest(const std::vector<FileSample>& files) {
  std::vector<FileSample> sorted = files;
  std::ranges::stable_sort(sorted, std::ranges::greater(), &FileSample::wanted_bytes);
  sorted.resize(std::min(sorted.size(), kMostFiles));
  return sorted;
}

ProgressSample sample_of(const transfer::Progress& progress) {
  ProgressSample sample;
  sample.wanted_bytes = progress.wanted_bytes;
  // What was fetched twice counts once.
  sample.done_bytes = std::min<std::uint64_t>(progress.received_bytes, sample.wanted_bytes);
  return sample;
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

std::vector<std::string> progress_files(const ProgressSample& sample, std::size_t columns) {
  std::vector<std::string> lines;
  if (sample.files < 2) {
    return lines;  // the bar says it
  }
  for (const FileSample& file : largest(sample.under_way)) {
    const std::uint64_t percent =
        file.wanted_bytes == 0 ? 100 : file.done_bytes / (file.wanted_bytes / 100 + 1);
    const std::string line = fmt::format("  {:>3}% of {:>8} {}",
                                         std::min<std::uint64_t>(percent, 100),
                                         base::format_bytes(file.wanted_bytes),
                                         base::printable(file.path));
    lines.push_back(line.substr(0, columns));
  }
  return lines;
}

std::string progress_json(std::string_view doing, const ProgressSample& sample) {
  const auto rate = rate_of(sample);
  return json_object([&](base::JsonWriter& json) {
    json.key("progress");
    json.begin_object();
    text_member(json, "doing", doing);
    number_member(json, "bytes", sample.done_bytes);
    number_member(json, "wanted_bytes", sample.wanted_bytes);
    json.key("seconds");
    json.decimal(seconds(sample.elapsed));
    json.key("bytes_per_second");
    json.decimal(rate.value_or(0));
    json.key("seconds_left");
    if (rate) {
      json.decimal(seconds_left(sample, *rate));
    } else {
      json.null();
    }
    if (sample.files > 0) {
      number_member(json, "files", sample.files);
      number_member(json, "files_done", sample.files_done);
      objects_member(json, "under_way", largest(sample.under_way), [&](const FileSample& file) {
        text_member(json, "path", file.path);
        number_member(json, "bytes", file.done_bytes);
        number_member(json, "wanted_bytes", file.wanted_bytes);
      });
    }
    json.end_object();
  });
}

ProgressDisplay::ProgressDisplay(const base::Clock& clock,
                                 std::string_view doing,
                                 const transfer::Progress& progress,
                                 Output& err,
                                 Style style)
    : ProgressDisplay(
          clock, doing, [&progress] { return sample_of(progress); }, progress.notes, err, style) {}

ProgressDisplay::ProgressDisplay(const base::Clock& clock,
                                 std::string_view doing,
                                 TakeSample sample,
                                 transfer::Notes& notes,
                                 Output& err,
                                 Style style)
    : clock_(clock),
      doing_(doing),
      sample_(std::move(sample)),
      notes_(notes),
      err_(err),
      json_(style.json),
      began_(clock.now()) {
  if (style.quiet) {
    return;
  }
  painter_ = std::jthread([this, columns = err.columns()](const std::stop_token& stop) {
    if (json_) {
      write_lines(stop, kJsonInterval);
    } else if (columns == 0) {
      write_lines(stop, kLineInterval);
    } else {
      draw(stop, columns);
    }
  });
}

ProgressDisplay::~ProgressDisplay() {
  if (!painter_.joinable()) {
    return;
  }
  painter_.request_stop();
  painter_.join();
  const std::string last = wipe() + noted();
  if (!last.empty()) {
    (void)err_.write(last);
  }
}

std::string ProgressDisplay::wipe() const {
  std::string text(drawn_lines_ > 0 ? kWipeLine : "");
  for (std::size_t line = 1; line < drawn_lines_; ++line) {
    text += kWipeLineAbove;
  }
  return text;
}

std::string ProgressDisplay::noted() const {
  std::string text;
  for (const std::string& note : notes_.take()) {
    text += json_ ? json_object([&](base::JsonWriter& json) { text_member(json, "note", note); })
                  : base::printable(note, kMaxNoteBytes) + "\n";
  }
  return text;
}

void ProgressDisplay::write_lines(const std::stop_token& stop, base::Duration interval) {
  base::TimePoint next_line = began_ + interval;
  while (clock_.sleep_until(clock_.now() + kBarInterval, stop)) {
    std::string text = noted();
    if (clock_.now() >= next_line) {
      next_line += interval;
      text += json_ ? progress_json(doing_, sample()) : progress_line(doing_, sample()) + "\n";
    }
    if (!text.empty() && !err_.write(text).ok()) {
      return;  // nobody looks
    }
  }
}

void ProgressDisplay::draw(const std::stop_token& stop, std::size_t columns) {
  while (clock_.sleep_until(clock_.now() + kBarInterval, stop)) {
    const ProgressSample now = sample();
    // A terminal that is written to its last column may go on to the next line.
    std::string text = wipe() + noted() + progress_bar(doing_, now, columns);
    drawn_lines_ = 1;
    for (const std::string& line : progress_files(now, columns - 1)) {
      text += "\n" + line;
      ++drawn_lines_;
    }
    if (!err_.write(text).ok()) {
      return;  // nobody looks
    }
  }
}

ProgressSample ProgressDisplay::sample() const {
  ProgressSample sample = sample_();
  sample.done_bytes = std::min(sample.done_bytes, sample.wanted_bytes);
  sample.elapsed = clock_.now() - began_;
  return sample;
}

}  // namespace weighbridge::cli
