#include "registry/answer_error.h"

#include <string>
#include <tuple>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighbridge::registry {
namespace {

using base::Code;
using base::Error;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kUrl = "https://user:pw@h/v2/a/manifests/v?token=t";

net::HttpReply reply(int status, const std::string& code, const std::string& message = "m") {
  net::HttpReply made;
  made.head.status = status;
  made.body = R"({"errors":[{"code":")" + code + R"(","message":")" + message +
              R"(","detail":{"x":[1]}},{"code":"OTHER"}]})";
  return made;
}

TEST(AnswerError, SaysEachCodeOfTheSpecificationInPlainWords) {
  const std::vector<std::tuple<int, std::string, Code>> cases = {
      {404, "BLOB_UNKNOWN", Code::kNotFound},
      {404, "BLOB_UPLOAD_INVALID", Code::kNotFound},
      {404, "BLOB_UPLOAD_UNKNOWN", Code::kNotFound},
      {400, "DIGEST_INVALID", Code::kCorrupt},
      {404, "MANIFEST_BLOB_UNKNOWN", Code::kNotFound},
      {400, "MANIFEST_INVALID", Code::kInvalid},
      {404, "MANIFEST_UNKNOWN", Code::kNotFound},
      {400, "NAME_INVALID", Code::kInvalid},
      {404, "NAME_UNKNOWN", Code::kNotFound},
      {400, "SIZE_INVALID", Code::kCorrupt},
      {401, "UNAUTHORIZED", Code::kDenied},
      {403, "DENIED", Code::kDenied},
      {405, "UNSUPPORTED", Code::kUnsupported},
      {429, "TOOMANYREQUESTS", Code::kBusy}};
  for (const auto& [status, name, code] : cases) {
    const Error error = answer_error(reply(status, name), "GET", kUrl);
    EXPECT_EQ(error.code(), code) << name;
    EXPECT_FALSE(error.hint().empty()) << name;
    EXPECT_EQ(error.file(), "https://h/v2/a/manifests/v");
    EXPECT_THAT(error.message(), HasSubstr("(it says: m)"));
    EXPECT_THAT(error.message(), Not(HasSubstr(name)));
    EXPECT_THAT(error.message(), Not(HasSubstr("pw")));
    EXPECT_EQ(error_code_of(reply(status, name)), name);
  }
}

TEST(AnswerError, BelievesNoCodeBehindAFaultThatMayPass) {
  EXPECT_EQ(answer_error(reply(500, "MANIFEST_UNKNOWN"), "GET", kUrl).code(), Code::kUnavailable);
  EXPECT_EQ(answer_error(reply(504, "DENIED"), "GET", kUrl).code(), Code::kTimedOut);
}

TEST(AnswerError, GoesByTheStatusWhereTheBodySaysNothing) {
  for (const char* body : {"", "<html>", "[]", R"({"errors":7})", R"({"errors":null})"}) {
    net::HttpReply silent;
    silent.body = body;
    silent.head.status = 403;
    EXPECT_EQ(answer_error(silent, "GET", kUrl).code(), Code::kDenied) << body;
    silent.head.status = 404;
    EXPECT_EQ(answer_error(silent, "GET", kUrl).code(), Code::kNotFound) << body;
    silent.head.status = 502;
    EXPECT_EQ(answer_error(silent, "GET", kUrl).code(), Code::kUnavailable) << body;
  }
}

TEST(AnswerError, ShowsTheRegistrysWordsEscapedAndCutShort) {
  const Error error =
      answer_error(reply(400, "NAME_INVALID", "\\u001b[31m" + std::string(1000, 'x')), "GET", kUrl);
  EXPECT_THAT(error.message(), Not(HasSubstr("\x1b")));
  EXPECT_LT(error.message().size(), 500U);
}

TEST(AnswerError, ShowsNothingThatHoldsASecret) {
  const std::vector<std::string> secrets = {"", "the-token"};
  const auto hostile = reply(400, "NAME_INVALID", "your the-token is odd");
  EXPECT_THAT(answer_error(hostile, "GET", kUrl, secrets).message(), Not(HasSubstr("the-token")));
  const auto odd = reply(418, "the-token", "your the-token is odd");
  EXPECT_THAT(answer_error(odd, "GET", kUrl, secrets).message(), Not(HasSubstr("the-token")));
}

}  // namespace
}  // namespace weighbridge::registry
