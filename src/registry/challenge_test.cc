#include "registry/challenge.h"

#include <gtest/gtest.h>

namespace weighbridge::registry {
namespace {

TEST(Challenge, OfABearerNamesRealmServiceAndScope) {
  const auto challenges = parse_challenges(
      R"(Bearer realm="https://auth.example/token",service="reg",scope="repository:a/b:pull,push")");
  ASSERT_EQ(challenges.size(), 1U);
  EXPECT_EQ(challenges[0].scheme, "bearer");
  EXPECT_EQ(challenges[0].parameter("realm"), "https://auth.example/token");
  EXPECT_EQ(challenges[0].parameter("service"), "reg");
  EXPECT_EQ(challenges[0].parameter("scope"), "repository:a/b:pull,push");
  EXPECT_EQ(challenges[0].parameter("error"), "");
}

TEST(Challenge, StandsBesideOthersInOneHeader) {
  const auto challenges = parse_challenges(
      R"(, Negotiate, BASIC Realm = "a \"b\\c", charset=UTF-8 ,, Bearer realm="x")");
  ASSERT_EQ(challenges.size(), 3U);
  EXPECT_EQ(challenges[0].scheme, "negotiate");
  EXPECT_EQ(challenges[1].scheme, "basic");
  EXPECT_EQ(challenges[1].parameter("realm"), R"(a "b\c)");
  EXPECT_EQ(challenges[1].parameter("charset"), "UTF-8");
  EXPECT_EQ(challenges[2].scheme, "bearer");
}

TEST(Challenge, ThatIsMalformedGivesWhatStandsBeforeTheFault) {
  EXPECT_TRUE(parse_challenges("").empty());
  EXPECT_TRUE(parse_challenges("=\"x\"").empty());
  const auto unclosed = parse_challenges(R"(Basic realm="ok", Bearer realm="never closed)");
  ASSERT_GE(unclosed.size(), 1U);
  EXPECT_EQ(unclosed[0].parameter("realm"), "ok");
  for (const Challenge& challenge : unclosed) {
    EXPECT_NE(challenge.parameter("realm"), "never closed");
  }
}

TEST(Challenge, IsReadWithinLimits) {
  std::string header;
  for (int i = 0; i < 1000; ++i) {
    header += "Basic a=b, c=d, ";
  }
  EXPECT_EQ(parse_challenges(header).size(), 16U);
  header = "Bearer ";
  for (int i = 0; i < 1000; ++i) {
    header += "a=b,";
  }
  EXPECT_EQ(parse_challenges(header)[0].parameters.size(), 16U);
}

}  // namespace
}  // namespace weighbridge::registry
