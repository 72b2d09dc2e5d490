#include "cli/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/units.h"

namespace weighbridge::cli {
namespace {

using base::Code;
using base::Error;
using ::testing::HasSubstr;
using ::testing::Not;

Error hostile() {
  return Error(Code::kCorrupt, "piece 7 differs")
      .in_file("model\x1b[2J\xFF.safetensors")
      .at(7 * base::kMiB)
      .with_hint("Fetch it again.");
}

TEST(ErrorText, NamesFileOffsetAndHintSafeForATerminal) {
  EXPECT_EQ(error_text(hostile()),
            "weighbridge: piece 7 differs\n"
            "  file: model\\x1b[2J\\xff.safetensors\n"
            "  offset: 7340032\n"
            "  Fetch it again.\n");
}

TEST(ErrorText, LeavesOutWhatIsNotKnown) {
  EXPECT_EQ(error_text(Error(Code::kInternal, "oops")), "weighbridge: oops\n");
}

TEST(ErrorJson, IsOneObjectOnOneLine) {
  EXPECT_EQ(error_json(hostile()),
            "{\"code\": \"corrupt\", \"message\": \"piece 7 differs\", "
            "\"file\": \"model\\u001b[2J\xEF\xBF\xBD.safetensors\", \"offset\": 7340032, "
            "\"hint\": \"Fetch it again.\"}\n");
  EXPECT_EQ(error_json(Error(Code::kTimedOut, "a\nb")),
            "{\"code\": \"timed_out\", \"message\": \"a\\nb\"}\n");
}

TEST(BytesIn, GivesARateAlsoForNoTimeAtAll) {
  EXPECT_EQ(bytes_in(base::kGiB, std::chrono::seconds(2)), "1.00 GiB in 2.00 s (512 MiB/s)");
  EXPECT_THAT(bytes_in(base::kGiB, base::Duration{}), Not(HasSubstr("inf")));
}

}  // namespace
}  // namespace weighbridge::cli
