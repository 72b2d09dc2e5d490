#include "net/http_fields.h"

#include <string>

#include <gtest/gtest.h>

namespace weighbridge::net {
namespace {

TEST(HttpFields, StatusLinesGiveTheirStatus) {
  EXPECT_EQ(parse_status_line("HTTP/1.1 206 Partial Content"), 206);
  EXPECT_EQ(parse_status_line("HTTP/1.0 200"), 200);
  for (const auto* line : {"",
                           "HTTP/1.1",
                           "HTTP/1.1 ",
                           "HTTP/1.1 20",
                           "HTTP/1.1 2000",
                           "ICY 200",
                           "HTTP/1.1 -20",
                           "HTTP/1.1 099",
                           "HTTP/1.1 20x"}) {
    EXPECT_EQ(parse_status_line(line), std::nullopt) << line;
  }
}

TEST(HttpFields, HeaderNamesComeInLowerCaseAndValuesTrimmed) {
  const auto header = parse_header_line("ETag: \t \"abc\" ");
  ASSERT_TRUE(header.has_value());
  EXPECT_EQ(header->name, "etag");
  EXPECT_EQ(header->value, "\"abc\"");
  EXPECT_EQ(parse_header_line("X-Empty:")->value, "");
}

TEST(HttpFields, MalformedHeadersAreNothing) {
  using namespace std::string_view_literals;
  for (const auto line : {""sv,
                          "no colon"sv,
                          ": value"sv,
                          " folded: x"sv,
                          "na me: x"sv,
                          "name : x"sv,
                          "name: a\0b"sv,
                          "name: a\rb"sv,
                          "name: \x7f"sv}) {
    EXPECT_FALSE(parse_header_line(line).has_value()) << line;
  }
}

TEST(HttpFields, AHeaderThatWouldSmuggleInAnotherIsNotSendable) {
  EXPECT_TRUE(is_sendable({"Authorization", "Bearer x"}));
  EXPECT_FALSE(is_sendable({"Authorization", "x\r\nHost: evil"}));
  EXPECT_FALSE(is_sendable({"A\nB", "x"}));
  EXPECT_FALSE(is_sendable({"", "x"}));
}

TEST(HttpFields, ContentRangesAreReadExactly) {
  const auto both = parse_content_range("bytes 0-99/1000");
  ASSERT_TRUE(both.has_value());
  EXPECT_EQ(both->range, (base::Range{0, 100}));
  EXPECT_EQ(both->total, 1000U);
  const auto open = parse_content_range("Bytes 5-5/*");
  ASSERT_TRUE(open.has_value());
  EXPECT_EQ(open->range, (base::Range{5, 6}));
  EXPECT_EQ(open->total, std::nullopt);
  const auto unsatisfied = parse_content_range("bytes */17");
  ASSERT_TRUE(unsatisfied.has_value());
  EXPECT_EQ(unsatisfied->range, std::nullopt);
  EXPECT_EQ(unsatisfied->total, 17U);
}

TEST(HttpFields, MalformedContentRangesAreNothing) {
  for (const auto* value : {"",
                            "bytes",
                            "bytes ",
                            "bytes 0-99",
                            "bytes */*",
                            "bytes 9-8/100",
                            "bytes 0-100/100",
                            "bytes -1-5/10",
                            "bytes 0-5/",
                            "bytes 0x0-5/10",
                            "items 0-5/10",
                            "bytes 0 - 5/10",
                            "bytes 0-18446744073709551615/*",
                            "bytes 0-5/99999999999999999999",
                            "bytes 0-5/10/10"}) {
    EXPECT_FALSE(parse_content_range(value).has_value()) << value;
  }
}

TEST(HttpFields, RetryAfterIsSecondsOrADateOfAtMostADay) {
  using std::chrono::hours;
  using std::chrono::seconds;
  const base::WallTime now{seconds(784'111'777)};  // Sun, 06 Nov 1994 08:49:37 GMT
  EXPECT_EQ(parse_retry_after("7", now), seconds(7));
  EXPECT_EQ(parse_retry_after("99999999999999999999999", now), hours(24));
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:50:07 GMT", now), seconds(30));
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), seconds(0));
  EXPECT_EQ(parse_retry_after("Fri, 31 Dec 9999 23:59:59 GMT", now), hours(24));
  EXPECT_EQ(parse_retry_after("", now), std::nullopt);
  EXPECT_EQ(parse_retry_after("-5", now), std::nullopt);
  EXPECT_EQ(parse_retry_after(std::string(100, 'x'), now), std::nullopt);
}

}  // namespace
}  // namespace weighbridge::net
