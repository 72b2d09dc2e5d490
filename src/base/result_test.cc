#include "base/result.h"

#include <memory>
#include <string>

#include <gtest/gtest.h>

namespace weighbridge::base {
namespace {

Result<std::unique_ptr<int>> make(bool well) {
  if (!well) {
    return Error(Code::kBusy, "not now");
  }
  return std::make_unique<int>(7);
}

Result<void> check(bool well) {
  if (!well) {
    return Error(Code::kDenied, "no");
  }
  return {};
}

// Uses TRY for a move-only value, inside an expression, and for no value.
Result<std::string> describe(bool made, bool checked) {
  const std::unique_ptr<int> value = TRY(make(made));
  TRY(check(checked));
  return std::to_string(*value + *TRY(make(made)));
}

TEST(Result, TryPassesValuesOnEvenMoveOnlyOnes) {
  EXPECT_EQ(describe(true, true).value(), "14");
}

TEST(Result, TryReturnsTheFirstError) {
  EXPECT_EQ(describe(false, false).error().code(), Code::kBusy);
  EXPECT_EQ(describe(true, false).error().code(), Code::kDenied);
}

TEST(Result, HoldsAValueOrAnError) {
  const Result<int> value = 3;
  EXPECT_TRUE(value.ok());
  EXPECT_TRUE(static_cast<bool>(value));
  EXPECT_EQ(*value, 3);
  const Result<int> error = Error(Code::kIo, "disk");
  EXPECT_FALSE(error.ok());
  EXPECT_EQ(error.error().message(), "disk");
}

TEST(Result, StaysSmall) {
  EXPECT_LE(sizeof(Result<int>), 16U);
}

TEST(ResultDeathTest, ReadingWhatIsNotThereIsADefect) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  const Result<int> value = 3;
  const Result<int> error = Error(Code::kIo, "disk");
  const Result<void> nothing;
  EXPECT_DEATH(static_cast<void>(value.error()), "holds a value");
  EXPECT_DEATH(static_cast<void>(error.value()), "failed Result");
  EXPECT_DEATH(static_cast<void>(nothing.error()), "holds a value");
}

}  // namespace
}  // namespace weighbridge::base
