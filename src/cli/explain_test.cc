#include "cli/explain.h"

#include <chrono>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/units.h"

namespace weighbridge::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

transfer::Explanation example() {
  transfer::Explanation told;
  told.took = seconds(2);
  told.adapts = true;
  told.start_connections = 4;
  told.end_connections = 6;
  told.peak_connections = 8;
  told.most_connections = 48;
  told.decisions = {{milliseconds(160), 4, 8, "190 MiB/s: do more bring more?"},
                    {milliseconds(170), 8, 6, "turned \"away\""}};
  told.requests = 10;
  told.retries = 2;
  told.least_request_bytes = base::kMiB;
  told.most_request_bytes = 8 * base::kMiB;
  told.wanted_bytes = 64 * base::kMiB;
  told.received_bytes = 65 * base::kMiB;
  told.hedges = {1, 1, 4 * base::kMiB};
  told.times.bytes = seconds(9);
  told.times.hash = seconds(1);
  told.files[model::Method::kPieces] = 3;
  told.not_hashed = {"a", "b", "c", "d"};
  told.read_twice = {"e"};
  told.local_reads = {base::kGiB, 0, base::kMiB, 0};
  told.proofs_note = "no space";
  return told;
}

TEST(ExplainText, says_what_was_chosen_and_why_and_where_the_time_went) {
  EXPECT_THAT(explain_text(example()),
              AllOf(HasSubstr("began with 4, ended with 6, 8 at once at most (ceiling 48)"),
                    HasSubstr("after 0.16 s: 4 to 8 (190 MiB/s: do more bring more?)"),
                    HasSubstr("10 of 1.00 MiB to 8.00 MiB, 2 tried again"),
                    HasSubstr("4.00 MiB that lagged asked for twice (1 of 1 were faster)"),
                    HasSubstr("3 files by pieces"),
                    HasSubstr("has hashed them before: a, b, c and 1 more"),
                    HasSubstr("read twice, as less memory than they need is allowed: e\n"),
                    HasSubstr("read: 1.00 GiB copied from the page cache, 1.00 MiB through"),
                    HasSubstr("looked up or remembered: no space"),
                    HasSubstr("90 % network"),
                    HasSubstr("10 % hash and proof")));
}

TEST(ExplainText, speaks_of_readers_and_the_disk_where_nothing_was_adapted) {
  transfer::Explanation told = example();
  told.adapts = false;
  EXPECT_THAT(explain_text(told),
              AllOf(HasSubstr("readers: 8 at once"), HasSubstr("disk"), Not(HasSubstr("network"))));
}

TEST(ExplainJson, is_an_object_whatever_the_reasons_say) {
  std::string text;
  base::JsonWriter json(text);
  explain_json(json, example());
  EXPECT_THAT(
      text,
      AllOf(HasSubstr(R"("connections": {"first": 4, "last": 6, "peak": 8, "ceiling": 48})"),
            HasSubstr(R"("why": "turned \"away\"")"),
            HasSubstr(R"("files": {"pieces": 3})"),
            HasSubstr(R"("not_hashed": ["a", "b", "c", "d"])"),
            HasSubstr(R"("read_twice": ["e"])"),
            HasSubstr(R"("local_reads": {"cached_bytes": 1073741824, "direct_bytes": 0,)"),
            HasSubstr(R"("proofs_note": "no space")")));
}

}  // namespace
}  // namespace weighbridge::cli
