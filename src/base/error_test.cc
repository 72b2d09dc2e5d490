#include "base/error.h"

#include <set>
#include <string_view>

#include <gtest/gtest.h>

namespace weighbridge::base {
namespace {

TEST(Error, TheTableHasARowForEveryCodeInTheirOrder) {
  ASSERT_EQ(all_facts().size(), static_cast<std::size_t>(Code::kInternal) + 1);
  for (std::size_t i = 0; i < all_facts().size(); ++i) {
    EXPECT_EQ(static_cast<std::size_t>(all_facts()[i].code), i);
    EXPECT_EQ(&facts(all_facts()[i].code), &all_facts()[i]);
  }
}

TEST(Error, NamesAndExitStatusesAreUniqueAndNeverSuccess) {
  std::set<std::string_view> names;
  std::set<int> exits;
  for (const CodeFacts& row : all_facts()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_TRUE(exits.insert(row.exit_status).second) << row.name;
    EXPECT_GT(row.exit_status, 1) << row.name;
    EXPECT_LT(row.exit_status, 256) << row.name;
    EXPECT_NE(row.errno_value, 0) << row.name;
    EXPECT_GE(row.http_status, 400) << row.name;
  }
}

TEST(Error, OnlyWhatMayPassByItselfIsRetried) {
  for (const CodeFacts& row : all_facts()) {
    const bool passes =
        row.code == Code::kBusy || row.code == Code::kUnavailable || row.code == Code::kTimedOut;
    EXPECT_EQ(row.retry, passes) << row.name;
  }
}

TEST(Error, CarriesWhatItsMakerKnew) {
  const Error error = Error(Code::kCorrupt, "the piece differs")
                          .in_file("a.safetensors")
                          .at(4096)
                          .with_hint("Seal it again.")
                          .with_retry_after(std::chrono::seconds(2));
  EXPECT_EQ(error.code(), Code::kCorrupt);
  EXPECT_EQ(error.file(), "a.safetensors");
  EXPECT_EQ(error.offset(), 4096);
  EXPECT_EQ(error.hint(), "Seal it again.");
  EXPECT_EQ(error.retry_after(), std::chrono::seconds(2));
}

TEST(Error, ContextsStandInFrontOutermostLeftmost) {
  Error error(Code::kNotFound, "no such file");
  error = std::move(error).context("opening the seal");
  error = std::move(error).context("loading m");
  EXPECT_EQ(error.message(), "loading m: opening the seal: no such file");
}

TEST(Error, ACopySharesNothingWithItsOriginal) {
  Error error = Error(Code::kBusy, "busy").in_file("x");
  const Error copy = error.copy();
  error = std::move(error).context("changed").with_code(Code::kIo);
  EXPECT_EQ(copy.message(), "busy");
  EXPECT_EQ(copy.code(), Code::kBusy);
  EXPECT_EQ(copy.file(), "x");
}

TEST(Error, IsAsSmallAsAPointer) {
  EXPECT_EQ(sizeof(Error), sizeof(void*));
}

}  // namespace
}  // namespace weighbridge::base
