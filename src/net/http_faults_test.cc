// What the client makes of answers that are wrong, one case a fault.

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/http_client.h"
#include "testing/http_server.h"
#include "testing/memory_sink.h"

namespace weighbridge::net {
namespace {

using base::Code;
using base::Range;
using testing::Fault;
using testing::Framing;

constexpr std::size_t kObjectBytes = 200'000;
constexpr Range kMiddle{1000, 101'000};
constexpr Range kFront{0, 100'000};

struct Case {
  std::string name;
  std::optional<Range> range;
  std::function<void(Fault&)> fault;
  std::optional<Code> code;  // nothing: it succeeds, with the right bytes
  // Does the fault show before the first byte? Then nothing may have been delivered.
  bool before_body = true;
};

void PrintTo(const Case& test_case, std::ostream* out) {
  *out << test_case.name;
}

std::function<void(Fault&)> header(std::string name, std::string value) {
  return [name = std::move(name), value = std::move(value)](Fault& fault) {
    fault.headers.emplace_back(name, value);
  };
}

std::function<void(Fault&)> framed(Framing framing, std::function<void(Fault&)> rest = {}) {
  return [framing, rest = std::move(rest)](Fault& fault) {
    fault.framing = framing;
    if (rest) {
      rest(fault);
    }
  };
}

void cut(Fault& fault) {
  fault.cut_after = 50'000;
}

void cut_cleanly(Fault& fault) {
  fault.cut_after = 50'000;
  fault.cut_cleanly = true;
}

void stop(Fault& fault) {
  fault.stop_after = 50'000;
}

void append(Fault& fault) {
  fault.append = "more";
}

void no_ranges(Fault& fault) {
  fault.ignore_range = true;
}

void whole_as_part(Fault& fault) {
  fault.status = 206;
}

std::string many_headers() {
  std::string value = "0";
  for (int i = 0; i < 300; ++i) {
    value += "\r\nX-Many-" + std::to_string(i) + ": x";
  }
  return value;
}

std::vector<Case> range_cases() {
  return {
      {"WrongBegin", kMiddle, header("Content-Range", "bytes 1001-100999/200000"), Code::kCorrupt},
      {"WrongEnd", kMiddle, header("Content-Range", "bytes 1000-101999/200000"), Code::kCorrupt},
      {"EndShort", kMiddle, header("Content-Range", "bytes 1000-99999/200000"), Code::kCorrupt},
      {"TotalBelowEnd", kMiddle, header("Content-Range", "bytes 1000-100999/5"), Code::kCorrupt},
      {"OtherTotal", kMiddle, header("Content-Range", "bytes 1000-100999/200001"), Code::kConflict},
      {"OpenTotal", kMiddle, header("Content-Range", "bytes 1000-100999/*"), {}},
      {"NoContentRange", kMiddle, header("Content-Range", ""), Code::kCorrupt},
      {"MalformedContentRange", kMiddle, header("Content-Range", "bytes of it"), Code::kCorrupt},
      {"UnsatisfiedContentRange",
       kMiddle,
       header("Content-Range", "bytes */200000"),
       Code::kCorrupt},
      {"TwoContentRanges",
       kMiddle,
       header("X", "1\r\nContent-Range: bytes 0-99999/200000"),
       Code::kCorrupt},
      {"Multipart",
       kMiddle,
       header("Content-Type", "multipart/byteranges; boundary=x"),
       Code::kCorrupt},
      {"PartOfAWhole", {}, whole_as_part, Code::kCorrupt},
      {"LengthContradictsRange", kMiddle, header("Content-Length", "99999"), Code::kCorrupt},
      {"IgnoredRangeFromTheFront", kFront, no_ranges, {}},
      {"IgnoredRangeFromTheMiddle", kMiddle, no_ranges, Code::kUnsupported},
  };
}

std::vector<Case> head_cases() {
  return {
      {"MalformedLength", {}, header("Content-Length", "0x10"), Code::kCorrupt},
      {"TwoLengths", {}, header("X", "1\r\nContent-Length: 5"), Code::kCorrupt},
      {"OtherLength", {}, header("Content-Length", "199999"), Code::kConflict},
      {"MalformedHeader", {}, header("Bad Name", "x"), Code::kCorrupt},
      {"Gzip", {}, header("Content-Encoding", "gzip"), Code::kUnsupported},
      {"GzipTransfer", {}, header("Transfer-Encoding", "gzip"), Code::kUnsupported},
      {"Identity", {}, header("Content-Encoding", "identity"), {}},
      {"HugeHeader", {}, header("X-Huge", std::string(70'000, 'x')), Code::kCorrupt},
      {"ManyHeaders", {}, header("X-Many", many_headers()), Code::kCorrupt},
      {"OtherEtag", {}, header("ETag", "\"v2\""), Code::kConflict},
      {"WeakEtagIsAnother", {}, header("ETag", "W/\"v1\""), Code::kConflict},
      {"NoEtagOtherTime",
       kMiddle,
       [](Fault& fault) {
         fault.headers = {{"ETag", ""}, {"Last-Modified", "Tue, 01 Jan 2030 00:00:00 GMT"}};
       },
       Code::kConflict},
      {"NoEtag", kMiddle, header("ETag", ""), {}},
      {"EtagBeforeTime", {}, header("Last-Modified", "Tue, 01 Jan 2030 00:00:00 GMT"), {}},
      {"NoValidators",
       {},
       [](Fault& fault) {
         fault.headers = {{"ETag", ""}, {"Last-Modified", ""}};
       },
       {}},
  };
}

std::vector<Case> body_cases() {
  return {
      {"Reset", kMiddle, cut, Code::kUnavailable, false},
      {"CleanClose", kMiddle, cut_cleanly, Code::kUnavailable, false},
      {"ResetOfAWhole", {}, cut, Code::kUnavailable, false},
      {"ResetAtTheStart", kMiddle, [](Fault& fault) { fault.cut_after = 0; }, Code::kUnavailable},
      {"ChunkedBroken", kMiddle, framed(Framing::kChunked, cut_cleanly), Code::kUnavailable, false},
      {"ChunkedShort", kMiddle, framed(Framing::kChunked, stop), Code::kUnavailable, false},
      {"ChunkedShortWhole", {}, framed(Framing::kChunked, stop), Code::kUnavailable, false},
      {"ChunkedLong", kMiddle, framed(Framing::kChunked, append), Code::kCorrupt, false},
      {"ChunkedLongWhole", {}, framed(Framing::kChunked, append), Code::kCorrupt, false},
      {"Chunked", kMiddle, framed(Framing::kChunked), {}},
      {"ChunkedWhole", {}, framed(Framing::kChunked), {}},
      {"UntilClose", kMiddle, framed(Framing::kUntilClose), {}},
      {"UntilCloseShort", kMiddle, framed(Framing::kUntilClose, stop), Code::kUnavailable, false},
      {"UntilCloseLong", kMiddle, framed(Framing::kUntilClose, append), Code::kCorrupt, false},
      {"LongerThanItsLength", kMiddle, append, {}},
      {"Throttled", Range{0, 2000}, [](Fault& fault) { fault.bytes_per_second = 20'000; }, {}},
  };
}

class HttpFaults : public ::testing::TestWithParam<Case> {};

TEST_P(HttpFaults, EndInTheRightBytesOrInTheNamedError) {
  const Case& test_case = GetParam();
  std::string bytes(kObjectBytes, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<char>(i * 131 / 7);
  }
  testing::HttpServer server([&](const auto&) {
    Fault fault;
    test_case.fault(fault);
    return fault;
  });
  testing::HttpObject object = testing::make_object(bytes, "\"v1\"");
  object.last_modified = "Mon, 01 Jan 2024 00:00:00 GMT";
  server.put("/model", object);

  HttpClientOptions options;
  options.no_proxy = "127.0.0.1";
  const auto client = make_http_client(options);
  HttpGet get;
  get.url = server.url("/model");
  get.range = test_case.range;
  get.expect = {"\"v1\"", object.last_modified, kObjectBytes};
  const Range wanted = test_case.range.value_or(Range{0, kObjectBytes});
  testing::MemorySink sink(wanted.size() + 100);
  const auto call = base::Call(base::system_clock()).within(std::chrono::seconds(60));
  const auto head = client->get(call, get, sink);

  if (!test_case.code) {
    ASSERT_TRUE(head.ok()) << head.error().message();
    EXPECT_TRUE(sink.bytes().substr(0, wanted.size()) == bytes.substr(wanted.begin, wanted.size()));
    return;
  }
  ASSERT_FALSE(head.ok());
  EXPECT_EQ(head.error().code(), *test_case.code) << head.error().message();
  EXPECT_EQ(head.error().file(), get.url);
  EXPECT_LE(sink.bytes().size(), test_case.before_body ? 0 : wanted.size());
  // What was delivered before the fault showed was right.
  EXPECT_TRUE(bytes.substr(wanted.begin).starts_with(sink.bytes()));
}

std::string name_of(const ::testing::TestParamInfo<Case>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(OfRanges, HttpFaults, ::testing::ValuesIn(range_cases()), name_of);
INSTANTIATE_TEST_SUITE_P(OfHeads, HttpFaults, ::testing::ValuesIn(head_cases()), name_of);
INSTANTIATE_TEST_SUITE_P(OfBodies, HttpFaults, ::testing::ValuesIn(body_cases()), name_of);

}  // namespace
}  // namespace weighbridge::net
