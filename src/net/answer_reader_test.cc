// What is read of an answer, fed from memory: every case whole, and byte by byte.

#include "net/answer_reader.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/memory_sink.h"

namespace weighbridge::net {
namespace {

using base::Code;

// Gives what it holds, at most `step` bytes at a time, and then the end. Confined, as every stream.
class MemoryStream final : public ByteStream {
 public:
  MemoryStream(std::string_view bytes, std::size_t step) : bytes_(bytes), step_(step) {}

  base::Result<std::size_t> receive(std::span<std::byte> into) override {
    const std::size_t count = std::min({into.size(), step_, bytes_.size()});
    std::memcpy(into.data(), bytes_.data(), count);
    bytes_.remove_prefix(count);
    return count;
  }

  void begin_wait() override {}

 private:
  std::string_view bytes_;
  const std::size_t step_;
};

struct Got {
  base::Result<HttpHead> head;
  std::string body;
  bool reusable = false;
  bool body_complete = false;

  int status() const { return head.ok() ? head->status : 0; }

  Code code() const { return head.ok() ? Code::kInternal : head.error().code(); }
};

Got read(std::string_view bytes,
         const Asked& asked = {},
         std::size_t step = std::numeric_limits<std::size_t>::max()) {
  testing::MemorySink sink(1000);
  Answer answer(asked, {}, sink);
  MemoryStream stream(bytes, step);
  AnswerReader reader(stream, answer);
  auto head = answer.finish(reader.read());
  return {std::move(head), std::string(sink.bytes()), reader.reusable(), answer.body_complete()};
}

const std::string kOk = "HTTP/1.1 200 OK\r\n";
const std::string kChunked = kOk + "Transfer-Encoding: chunked\r\n\r\n";

struct Good {
  std::string name;
  std::string bytes;
  bool reusable;
};

void PrintTo(const Good& good, std::ostream* out) {
  *out << good.name;
}

class GoodAnswers : public ::testing::TestWithParam<Good> {};

TEST_P(GoodAnswers, EndWhereTheyShouldInWhateverPiecesTheyCome) {
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{100'000}}) {
    const Got got = read(GetParam().bytes, {}, step);
    ASSERT_TRUE(got.head.ok()) << got.head.error().message();
    EXPECT_EQ(got.status(), 200);
    EXPECT_EQ(got.body, "hello");
    EXPECT_EQ(got.reusable, GetParam().reusable);
    EXPECT_TRUE(got.body_complete);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Answers,
    GoodAnswers,
    ::testing::Values(
        Good{"Length", kOk + "Content-Length: 5\r\n\r\nhello", true},
        Good{"BareLineFeeds", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", true},
        Good{"SameLengthTwice", kOk + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", true},
        Good{"Close", kOk + "Connection: x, Close\r\nContent-Length: 5\r\n\r\nhello", false},
        Good{"OldVersion", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", false},
        Good{"OldVersionKeptAlive",
             "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\nhello",
             true},
        Good{"UntilClose", kOk + "\r\nhello", false},
        Good{"Chunks", kChunked + "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", true},
        Good{"ChunkExtensions", kChunked + "005 ;a=\"b\"\r\nhello\r\n0;x\r\n\r\n", true},
        Good{"Trailers", kChunked + "5\r\nhello\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n", true},
        Good{"InterimAnswers",
             "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + kOk +
                 "Content-Length: 5\r\n\r\nhello",
             true},
        // Chunks win over a length (RFC 9112, 6.3), and nothing else is read from there.
        Good{"ChunksAndLength",
             kOk + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "5\r\nhello\r\n0\r\n\r\n",
             false},
        Good{"ChunksOfAnOldVersion",
             "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
             "5\r\nhello\r\n0\r\n\r\n",
             false}),
    [](const auto& one) { return one.param.name; });

struct Bad {
  std::string name;
  std::string bytes;
  Code code;
};

void PrintTo(const Bad& bad, std::ostream* out) {
  *out << bad.name;
}

class BadAnswers : public ::testing::TestWithParam<Bad> {};

TEST_P(BadAnswers, AreNamedAndLeaveNothingToReuse) {
  for (const std::size_t step : {std::size_t{1}, std::size_t{100'000}}) {
    const Got got = read(GetParam().bytes, {}, step);
    ASSERT_FALSE(got.head.ok());
    EXPECT_EQ(got.code(), GetParam().code) << got.head.error().message();
    EXPECT_FALSE(got.reusable);
    EXPECT_TRUE(std::string("hello").starts_with(got.body)) << got.body;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Answers,
    BadAnswers,
    ::testing::Values(
        Bad{"Nothing", "", Code::kUnavailable},
        Bad{"NoHttp", "SSH-2.0-OpenSSH\r\n\r\n", Code::kCorrupt},
        Bad{"OtherVersion", "HTTP/2 200 OK\r\n\r\n", Code::kCorrupt},
        Bad{"Upgrade", "HTTP/1.1 101 Switching\r\n\r\n", Code::kCorrupt},
        Bad{"EmptyLineFirst", "\r\n" + kOk + "\r\n", Code::kCorrupt},
        Bad{"SecondStatusLine", kOk + "HTTP/1.1 200 OK\r\n\r\n", Code::kCorrupt},
        Bad{"FoldedHeader", kOk + "A: b\r\n c: d\r\n\r\n", Code::kCorrupt},
        Bad{"HeadCut", kOk + "Content-Le", Code::kUnavailable},
        Bad{"EndlessLine", kOk + "A: " + std::string(100'000, 'a'), Code::kCorrupt},
        Bad{"TwoLengths",
            kOk + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            Code::kCorrupt},
        Bad{"ListedLengths", kOk + "Content-Length: 5, 5\r\n\r\nhello", Code::kCorrupt},
        Bad{"SignedLength", kOk + "Content-Length: +5\r\n\r\nhello", Code::kCorrupt},
        Bad{"HugeLength",
            kOk + "Content-Length: 99999999999999999999\r\n\r\nhello",
            Code::kCorrupt},
        Bad{"ShortBody", kOk + "Content-Length: 9\r\n\r\nhello", Code::kUnavailable},
        Bad{"OtherCoding", kOk + "Transfer-Encoding: gzip, chunked\r\n\r\n", Code::kUnsupported},
        Bad{"NoChunk", kChunked, Code::kUnavailable},
        Bad{"NoLastChunk", kChunked + "5\r\nhello\r\n", Code::kUnavailable},
        Bad{"NoEndOfTrailers", kChunked + "5\r\nhello\r\n0\r\n", Code::kUnavailable},
        Bad{"ChunkCut", kChunked + "9\r\nhello", Code::kUnavailable},
        Bad{"ChunkSizeMissing", kChunked + "\r\nhello", Code::kCorrupt},
        Bad{"ChunkSizeSigned", kChunked + "+5\r\nhello\r\n0\r\n\r\n", Code::kCorrupt},
        Bad{"ChunkSizePrefixed", kChunked + "0x5\r\nhello\r\n0\r\n\r\n", Code::kCorrupt},
        Bad{"ChunkSizeOverflows", kChunked + "10000000000000005\r\nhello\r\n", Code::kCorrupt},
        Bad{"ChunkSizeBareLineFeed", kChunked + "5\nhello\r\n0\r\n\r\n", Code::kCorrupt},
        Bad{"ChunkExtensionEndless", kChunked + "5;" + std::string(10'000, 'x'), Code::kCorrupt},
        Bad{"ChunkLonger", kChunked + "5\r\nhelloX\r\n0\r\n\r\n", Code::kCorrupt},
        Bad{"ChunkEndsInLineFeed", kChunked + "5\r\nhello\n0\r\n\r\n", Code::kCorrupt},
        Bad{"ManyTrailers",
            kChunked + "5\r\nhello\r\n0\r\nA: " + std::string(60'000, 'a') +
                "\r\nB: " + std::string(60'000, 'b') + "\r\n\r\n",
            Code::kCorrupt}),
    [](const auto& one) { return one.param.name; });

TEST(AnswerReader, ABodyOfKnownLengthEndsThereAndTheRestCostsTheConnection) {
  const Got got = read(kOk + "Content-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n");
  EXPECT_EQ(got.body, "hello");
  EXPECT_FALSE(got.reusable);
}

TEST(AnswerReader, AChunkOfTheLargestSizeIsReadForAsLongAsTheSinkHasRoom) {
  const Got got = read(kChunked + "ffffffffffffffff\r\n" + std::string(5000, 'x'));
  ASSERT_TRUE(got.head.ok()) << got.head.error().message();
  EXPECT_EQ(got.body.size(), 1000U);
  EXPECT_FALSE(got.reusable);
}

TEST(AnswerReader, AnswersWithoutABodyEndWithTheirHead) {
  Asked head;
  head.head_only = true;
  head.any_status = true;
  const Got got = read(kOk + "Content-Length: 5\r\n\r\n", head);
  EXPECT_EQ(got.status(), 200);
  EXPECT_EQ(got.head->total_bytes, 5U);
  EXPECT_TRUE(got.reusable);
  for (const int status : {204, 304}) {
    const Got none = read(fmt::format("HTTP/1.1 {} X\r\nContent-Length: 5\r\n\r\n", status));
    EXPECT_EQ(none.status(), status);
    EXPECT_TRUE(none.reusable);
  }
}

TEST(AnswerReader, AStatusIsAllThatIsWantedOfAnAnswerWhoseBodyNobodyWants) {
  for (const std::string rest : {"Content-Length: x\r\n\r\n",
                                 "Transfer-Encoding: gzip\r\n\r\nzzz",
                                 "Transfer-Encoding: chunked\r\n\r\nnonsense",
                                 "Content-Length: 1000\r\n\r\nshort"}) {
    const Got got = read("HTTP/1.1 404 Not Found\r\n" + rest);
    EXPECT_EQ(got.status(), 404) << rest;
    EXPECT_EQ(got.body, "");
    EXPECT_FALSE(got.reusable) << rest;
  }
}

TEST(AnswerReader, ABodyOfAnyStatusIsDeliveredWhereAskedFor) {
  Asked any;
  any.any_status = true;
  const Got got = read("HTTP/1.1 401 X\r\nContent-Length: 5\r\n\r\nhello", any);
  EXPECT_EQ(got.status(), 401);
  EXPECT_EQ(got.body, "hello");
  EXPECT_TRUE(got.body_complete);
  const Got cut = read("HTTP/1.1 401 X\r\nContent-Length: 9\r\n\r\nhello", any);
  EXPECT_EQ(cut.status(), 401);
  EXPECT_EQ(cut.body, "hello");
  EXPECT_FALSE(cut.body_complete);
}

TEST(AnswerReader, AnInterimAnswerIsNotTheBeginningOfTheAnswer) {
  testing::MemorySink sink(10);
  const Asked asked;
  Answer answer(asked, {}, sink);
  MemoryStream stream({}, 1);
  AnswerReader reader(stream, answer);
  const auto add = [&](std::string_view text) {
    std::memcpy(reader.space().data(), text.data(), text.size());
    reader.add(text.size());
  };
  EXPECT_FALSE(reader.has_begun());
  add("HTTP/1.1");
  EXPECT_FALSE(reader.has_begun());
  add(" 100 Continue\r\n\r\n");
  EXPECT_FALSE(reader.has_begun());
}

}  // namespace
}  // namespace weighbridge::net
