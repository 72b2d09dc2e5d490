#include "cli/progress.h"

#include <semaphore>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/units.h"
#include "sync/guarded.h"
#include "testing/manual_clock.h"

namespace weighbridge::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

// Thread-safe: the display writes from a thread of its own.
class Recorder final : public Output {
 public:
  explicit Recorder(std::size_t columns) : columns_(columns) {}

  base::Result<void> write(std::string_view text) override {
    texts_.with([&](auto& texts) { texts.emplace_back(text); });
    written_.release();
    return {};
  }

  std::size_t columns() const override { return columns_; }

  // Returns after one more write.
  void await_write() { written_.acquire(); }

  std::vector<std::string> texts() const {
    return texts_.with([](const auto& texts) { return texts; });
  }

 private:
  const std::size_t columns_;
  sync::Guarded<std::vector<std::string>> texts_;
  std::counting_semaphore<> written_{0};
};

ProgressSample quarter() {
  return {64 * base::kMiB, 256 * base::kMiB, std::chrono::seconds(2)};
}

// What a display writes in one interval, with a quarter of the bytes done.
std::vector<std::string> shown(std::size_t columns,
                               base::Duration interval,
                               Style style,
                               const std::string& note = {}) {
  testing::ManualClock clock;
  transfer::Progress progress;
  if (!note.empty()) {
    progress.notes.add(note);
  }
  progress.wanted_bytes = 256 * base::kMiB;
  progress.received_bytes = 64 * base::kMiB;
  Recorder err(columns);
  {
    const ProgressDisplay display(clock, "loading", progress, err, style);
    if (!style.quiet) {
      clock.await_waiters(1);
      clock.advance(interval);
      err.await_write();
    }
  }
  return err.texts();
}

TEST(ProgressLine, SaysHowMuchHowFastAndHowLongStill) {
  EXPECT_EQ(progress_line("loading", quarter()),
            "loading: 64.0 MiB of 256 MiB, 32.0 MiB/s, 0:06 left");
}

TEST(ProgressLine, PromisesNothingBeforeTheFirstByte) {
  EXPECT_EQ(progress_line("loading", {0, 0, {}}), "loading: 0 B of 0 B");
}

TEST(ProgressBar, FillsWithTheBytesAndNeverBreaksTheLine) {
  EXPECT_THAT(progress_bar("loading", quarter(), 200),
              StartsWith("[##########..............................] loading: "));
  for (std::size_t columns = 1; columns < 120; ++columns) {
    EXPECT_LE(progress_bar("loading", quarter(), columns).size(), columns);
  }
}

TEST(ProgressDisplay, RedrawsInPlaceOnATerminalAndWipesItselfAway) {
  EXPECT_THAT(shown(80, ProgressDisplay::kBarInterval, {}),
              ElementsAre(StartsWith("["), "\r\x1b[K"));
}

TEST(ProgressDisplay, WritesPlainLinesElsewhereAndWipesNothing) {
  const auto lines = shown(0, ProgressDisplay::kLineInterval, {});
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_EQ(lines[0], "loading: 64.0 MiB of 256 MiB, 12.8 MiB/s, 0:15 left\n");
}

TEST(ProgressDisplay, SaysSoonWhatIsTriedAgainWithControlCharactersEscaped) {
  EXPECT_THAT(shown(0, ProgressDisplay::kBarInterval, {}, "retrying a\x1b: busy"),
              ElementsAre("retrying a\\x1b: busy\n"));
  EXPECT_THAT(shown(80, ProgressDisplay::kBarInterval, {}, "retrying a"),
              ElementsAre(StartsWith("retrying a\n["), "\r\x1b[K"));
}

TEST(ProgressDisplay, IsSilentWithQuiet) {
  EXPECT_THAT(shown(80, ProgressDisplay::kBarInterval, {.json = false, .quiet = true}), IsEmpty());
  EXPECT_THAT(shown(80, ProgressDisplay::kBarInterval, {.json = true, .quiet = true}), IsEmpty());
}

TEST(ProgressDisplay, WritesAnObjectALineWithJson) {
  EXPECT_THAT(shown(80, ProgressDisplay::kJsonInterval, {.json = true, .quiet = false}),
              ElementsAre("{\"progress\": {\"doing\": \"loading\", \"bytes\": 67108864, "
                          "\"wanted_bytes\": 268435456, \"seconds\": 1.000000, "
                          "\"bytes_per_second\": 67108864.000000, \"seconds_left\": 3.000000}}\n"));
  EXPECT_THAT(shown(80, ProgressDisplay::kBarInterval, {.json = true, .quiet = false}, "retry"),
              ElementsAre("{\"note\": \"retry\"}\n"));
}

ProgressSample several() {
  ProgressSample sample = quarter();
  sample.found_bytes = 32 * base::kMiB;
  sample.files = 7;
  sample.files_done = 2;
  for (std::uint64_t i = 1; i <= 5; ++i) {
    sample.under_way.push_back({"f\n" + std::to_string(i), i * base::kMiB, i * 2 * base::kMiB});
  }
  return sample;
}

TEST(ProgressOfSeveralFiles, CountsThemAndMeasuresOnlyWhatWasNotThereBefore) {
  EXPECT_EQ(progress_line("pulling", several()),
            "pulling: 64.0 MiB of 256 MiB, 2 of 7 files, 16.0 MiB/s, 0:12 left");
  EXPECT_THAT(progress_json("pulling", several()),
              HasSubstr("\"files\": 7, \"files_done\": 2, \"under_way\": [{\"path\": \"f\\n5\""));
}

TEST(ProgressOfSeveralFiles, NamesTheLargestWithoutBreakingALine) {
  const auto lines = progress_files(several(), 200);
  ASSERT_THAT(lines, SizeIs(4));
  EXPECT_THAT(lines[0], ::testing::AllOf(HasSubstr("10.0 MiB"), HasSubstr("f\\x0a5")));
  for (const std::string& line : progress_files(several(), 10)) {
    EXPECT_EQ(line.size(), 10U);
  }
}

TEST(ProgressOfSeveralFiles, IsRedrawnAndWipedLineByLine) {
  testing::ManualClock clock;
  transfer::Notes notes;
  Recorder err(80);
  {
    const ProgressDisplay display(clock, "pulling", several, notes, err, {});
    for (int i = 0; i < 2; ++i) {
      clock.await_waiters(1);
      clock.advance(ProgressDisplay::kBarInterval);
      err.await_write();
    }
  }
  const auto texts = err.texts();
  ASSERT_THAT(texts, SizeIs(3));
  EXPECT_THAT(texts[0], StartsWith("["));
  const std::string wiped = "\r\x1b[K\x1b[1A\x1b[K\x1b[1A\x1b[K\x1b[1A\x1b[K\x1b[1A\x1b[K";
  EXPECT_THAT(texts[1], StartsWith(wiped + "["));
  EXPECT_EQ(texts[2], wiped);
}

}  // namespace
}  // namespace weighbridge::cli
