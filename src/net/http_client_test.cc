#include "net/http_client.h"

#include <chrono>
#include <latch>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/http_server.h"
#include "testing/memory_sink.h"

namespace weighbridge::net {
namespace {

using base::Code;
using testing::Fault;
using testing::HttpServer;
using testing::MemorySink;

constexpr std::size_t kObjectBytes = 300'000;

std::string object_bytes(std::size_t size = kObjectBytes) {
  std::string bytes(size, '\0');
  std::uint32_t state = 7;
  for (char& byte : bytes) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<char>(state >> 24U);
  }
  return bytes;
}

// Keeps loopback off any proxy that the environment names.
HttpClientOptions direct() {
  HttpClientOptions options;
  options.no_proxy = "127.0.0.1,localhost";
  return options;
}

// A server with one object at /model, and a client.
class HttpClientTest : public ::testing::Test {
 protected:
  HttpClientTest() { server_.put("/model", testing::make_object(bytes_, "\"v1\"")); }

  HttpGet request(std::optional<base::Range> range = {}) const {
    HttpGet get;
    get.url = server_.url("/model");
    get.range = range;
    return get;
  }

  base::Result<HttpHead> get(const HttpGet& get, base::BodySink& sink) {
    return client_->get(call_, get, sink);
  }

  const std::string bytes_ = object_bytes();
  HttpServer server_;
  const base::Call call_ = base::Call(base::system_clock()).within(std::chrono::seconds(60));
  std::unique_ptr<HttpClient> client_ = make_http_client(direct());
};

TEST_F(HttpClientTest, TheWholeObjectLandsInTheSinkInOrder) {
  MemorySink sink(kObjectBytes);
  const auto head = get(request(), sink);
  ASSERT_TRUE(head.ok()) << head.error().message();
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(head->total_bytes, kObjectBytes);
  EXPECT_EQ(head->etag, "\"v1\"");
  EXPECT_FALSE(head->ignored_range);
  EXPECT_TRUE(sink.bytes() == bytes_);
}

TEST_F(HttpClientTest, ARangeLandsWithTheTotalOfTheObject) {
  MemorySink sink(1000);
  const auto head = get(request(base::Range{5000, 6000}), sink);
  ASSERT_TRUE(head.ok()) << head.error().message();
  EXPECT_EQ(head->status, 206);
  EXPECT_EQ(head->total_bytes, kObjectBytes);
  EXPECT_TRUE(sink.bytes() == bytes_.substr(5000, 1000));
  EXPECT_EQ(server_.requests().back().range, (base::Range{5000, 6000}));
}

TEST_F(HttpClientTest, ARangePastTheEndIsClippedToIt) {
  MemorySink sink(5000);
  const auto head = get(request(base::Range{kObjectBytes - 10, kObjectBytes + 990}), sink);
  ASSERT_TRUE(head.ok()) << head.error().message();
  EXPECT_TRUE(sink.bytes() == bytes_.substr(kObjectBytes - 10));
}

TEST_F(HttpClientTest, ARangeBeyondTheObjectIsAStatusThatNamesTheTotal) {
  MemorySink sink(10);
  const auto head = get(request(base::Range{kObjectBytes, kObjectBytes + 10}), sink);
  ASSERT_TRUE(head.ok()) << head.error().message();
  EXPECT_EQ(head->status, 416);
  EXPECT_EQ(head->total_bytes, kObjectBytes);
  EXPECT_EQ(sink.bytes().size(), 0U);
}

TEST_F(HttpClientTest, ItAsksForTheBytesAsTheyAreAndSendsNoCookie) {
  server_.set_decide([](const auto&) {
    Fault fault;
    fault.headers = {{"Set-Cookie", "a=b; path=/"}};
    return fault;
  });
  MemorySink sink(kObjectBytes);
  ASSERT_TRUE(get(request(), sink).ok());
  MemorySink again(kObjectBytes);
  ASSERT_TRUE(get(request(), again).ok());
  const auto seen = server_.requests().back();
  EXPECT_EQ(seen.header("accept-encoding"), "identity");
  EXPECT_EQ(seen.header("cookie"), "");
  EXPECT_EQ(seen.header("authorization"), "");
}

TEST_F(HttpClientTest, ConnectionsAreKeptAliveAlsoAfterAnErrorStatus) {
  for (int i = 0; i < 5; ++i) {
    MemorySink sink(kObjectBytes);
    ASSERT_TRUE(get(request(base::Range{0, 1000}), sink).ok());
    HttpGet missing = request();
    missing.url = server_.url("/missing");
    const auto head = get(missing, sink);
    ASSERT_TRUE(head.ok());
    EXPECT_EQ(head->status, 404);
  }
  EXPECT_EQ(server_.connections(), 1U);
  EXPECT_EQ(server_.counts().requests, 10U);
}

TEST_F(HttpClientTest, AConnectionThatDiedIdleIsReplacedUnnoticed) {
  auto first = std::make_unique<HttpServer>();
  first->put("/model", testing::make_object("one"));
  HttpGet ask;
  ask.url = first->url("/model");
  MemorySink one(10);
  ASSERT_TRUE(get(ask, one).ok());
  const int first_port = first->port();
  first.reset();
  HttpServer second({}, first_port);
  second.put("/model", testing::make_object("two"));
  MemorySink two(10);
  const auto head = get(ask, two);
  ASSERT_TRUE(head.ok()) << head.error().message();
  EXPECT_EQ(two.bytes(), "two");
}

TEST_F(HttpClientTest, ASinkThatHasEnoughHangsUpAndThatIsSuccess) {
  MemorySink sink(70'000);
  const auto head = get(request(), sink);
  ASSERT_TRUE(head.ok()) << head.error().message();
  EXPECT_TRUE(sink.bytes() == bytes_.substr(0, 70'000));
  MemorySink next(kObjectBytes);
  ASSERT_TRUE(get(request(), next).ok());
  EXPECT_EQ(server_.connections(), 2U);
}

TEST_F(HttpClientTest, TheErrorOfASinkIsReturnedAsItIs) {
  MemorySink sink(kObjectBytes, 1000, [](std::size_t landed) -> base::Result<void> {
    return landed < 5000 ? base::Result<void>() : base::Error(Code::kIo, "the disk is gone");
  });
  const auto head = get(request(), sink);
  ASSERT_FALSE(head.ok());
  EXPECT_EQ(head.error().code(), Code::kIo);
  EXPECT_EQ(head.error().message(), "the disk is gone");
  EXPECT_GE(sink.bytes().size(), 5000U);
  EXPECT_LT(sink.bytes().size(), 6000U);  // and nothing after it
}

TEST_F(HttpClientTest, EightThreadsEachReadTheirOwnRanges) {
  constexpr std::size_t kThreads = 8;
  constexpr int kRounds = 25;
  constexpr std::size_t kRangeBytes = 10'000;
  std::vector<int> right(kThreads, 0);
  {
    std::vector<std::jthread> threads;
    for (std::size_t thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (int round = 0; round < kRounds; ++round) {
          const std::uint64_t begin = thread * 30'000 + static_cast<std::uint64_t>(round) * 100;
          MemorySink sink(kRangeBytes);
          const auto head = get(request(base::Range{begin, begin + kRangeBytes}), sink);
          right[thread] += head.ok() && sink.bytes() == bytes_.substr(begin, kRangeBytes) ? 1 : 0;
        }
      });
    }
  }
  EXPECT_THAT(right, ::testing::Each(kRounds));
  EXPECT_LE(server_.connections(), kThreads);
}

TEST_F(HttpClientTest, AStopRequestEndsAStalledBodyAtOnce) {
  server_.set_decide([](const auto&) {
    Fault fault;
    fault.stall_after = 1000;
    return fault;
  });
  std::stop_source stop;
  MemorySink sink(kObjectBytes, std::size_t{64} * 1024, [&](std::size_t) -> base::Result<void> {
    stop.request_stop();
    return {};
  });
  const auto head = client_->get(call_.stopped_by(stop.get_token()), request(), sink);
  ASSERT_FALSE(head.ok());
  EXPECT_EQ(head.error().code(), Code::kCancelled);
}

TEST_F(HttpClientTest, AStopRequestFromAnotherThreadWakesTheWaitForTheHead) {
  std::latch asked(1);
  HttpServer silent([&](const auto& request) {
    if (request.index == 0) {
      asked.count_down();
    }
    Fault fault;
    fault.stall_after = 0;
    return fault;
  });
  silent.put("/model", testing::make_object("x"));
  std::stop_source stop;
  const std::jthread stopper([&] {
    asked.wait();
    stop.request_stop();
  });
  HttpGet ask;
  ask.url = silent.url("/model");
  MemorySink sink(10);
  const auto head = client_->get(call_.stopped_by(stop.get_token()), ask, sink);
  ASSERT_FALSE(head.ok());
  EXPECT_EQ(head.error().code(), Code::kCancelled);
}

TEST_F(HttpClientTest, ACallThatWasStoppedBeforeSendsNothing) {
  // On the heap, because g++ 12 takes one on the stack for uninitialised here.
  const auto stop = std::make_unique<std::stop_source>();
  stop->request_stop();
  MemorySink sink(10);
  const auto head = client_->get(call_.stopped_by(stop->get_token()), request(), sink);
  ASSERT_FALSE(head.ok());
  EXPECT_EQ(head.error().code(), Code::kCancelled);
  EXPECT_EQ(server_.connections(), 0U);
}

TEST_F(HttpClientTest, TheDeadlineOfTheCallEndsAStalledBody) {
  server_.set_decide([](const auto&) {
    Fault fault;
    fault.stall_after = 1000;
    return fault;
  });
  MemorySink sink(kObjectBytes);
  const auto head = client_->get(call_.within(std::chrono::milliseconds(100)), request(), sink);
  ASSERT_FALSE(head.ok());
  EXPECT_EQ(head.error().code(), Code::kTimedOut);
  EXPECT_EQ(sink.bytes().size(), 1000U);
}

TEST_F(HttpClientTest, ABodyThatStandsStillForTheStallLimitTimesOut) {
  server_.set_decide([](const auto&) {
    Fault fault;
    fault.stall_after = 1000;
    return fault;
  });
  HttpClientOptions options = direct();
  options.stall_timeout = std::chrono::milliseconds(100);
  MemorySink sink(kObjectBytes);
  const auto head = make_http_client(options)->get(call_, request(), sink);
  ASSERT_FALSE(head.ok());
  EXPECT_EQ(head.error().code(), Code::kTimedOut);
  EXPECT_THAT(head.error().message(), ::testing::HasSubstr("nothing arrived for 100 ms"));
}

TEST_F(HttpClientTest, ASlowBodyThatKeepsMovingOutlivesTheStallLimit) {
  server_.put("/slow", testing::make_object(bytes_.substr(0, 150)));
  server_.set_decide([](const auto&) {
    Fault fault;
    fault.bytes_per_second = 100;
    return fault;
  });
  HttpClientOptions options = direct();
  options.stall_timeout = std::chrono::milliseconds(1000);
  options.least_bytes_per_second = 20;
  HttpGet slow;
  slow.url = server_.url("/slow");
  MemorySink sink(150);
  const auto head = make_http_client(options)->get(call_, slow, sink);
  ASSERT_TRUE(head.ok()) << head.error().message();
  EXPECT_EQ(sink.bytes().size(), 150U);
}

TEST_F(HttpClientTest, ABodyThatTricklesBelowTheLeastRateTimesOut) {
  server_.set_decide([](const auto&) {
    Fault fault;
    fault.bytes_per_second = 100;
    return fault;
  });
  HttpClientOptions options = direct();
  options.stall_timeout = std::chrono::milliseconds(500);
  MemorySink sink(kObjectBytes);
  const auto head = make_http_client(options)->get(call_, request(), sink);
  ASSERT_FALSE(head.ok());
  EXPECT_EQ(head.error().code(), Code::kTimedOut);
  EXPECT_THAT(head.error().message(), ::testing::HasSubstr("bytes went to and fro in 500 ms"));
  EXPECT_LT(sink.bytes().size(), 512U);
}

TEST_F(HttpClientTest, AServerThatIsNotThereIsUnavailable) {
  int port = 0;
  {
    const HttpServer gone;
    port = gone.port();
  }
  HttpGet ask;
  ask.url = "http://127.0.0.1:" + std::to_string(port) + "/model";
  MemorySink sink(10);
  const auto head = get(ask, sink);
  ASSERT_FALSE(head.ok());
  EXPECT_EQ(head.error().code(), Code::kUnavailable);
  EXPECT_EQ(head.error().file(), ask.url);
}

TEST_F(HttpClientTest, AHostWithoutAnAddressIsUnavailableAtEveryTry) {
  HttpClientOptions alone;
  alone.no_proxy = "*";
  HttpClientOptions behind_proxy;
  behind_proxy.proxy = "http://nohost.invalid:3128";
  behind_proxy.no_proxy = "elsewhere.invalid";
  for (const HttpClientOptions& options : {alone, behind_proxy}) {
    const auto client = make_http_client(options);
    HttpGet ask;
    ask.url = "http://nohost.invalid/";  // .invalid is never in the DNS
    for (int i = 0; i < 3; ++i) {
      MemorySink sink(10);
      const auto head = client->get(call_, ask, sink);
      ASSERT_FALSE(head.ok());
      EXPECT_EQ(head.error().code(), Code::kUnavailable) << head.error().message();
    }
  }
}

TEST_F(HttpClientTest, ARequestThatCannotBeSentIsInvalid) {
  HttpGet empty = request(base::Range{5, 5});
  HttpGet smuggled = request();
  smuggled.headers = {{"X", "1\r\nHost: evil"}};
  HttpGet ranged = request();
  ranged.headers = {{"range", "bytes=0-1"}};
  HttpGet file = request();
  file.url = "file:///etc/passwd";
  for (const HttpGet& bad : {empty, smuggled, ranged, file}) {
    MemorySink sink(10);
    const auto head = get(bad, sink);
    ASSERT_FALSE(head.ok());
    EXPECT_EQ(head.error().code(), Code::kInvalid) << head.error().message();
  }
  EXPECT_EQ(server_.counts().requests, 0U);
}

TEST_F(HttpClientTest, AStatusBecomesTheErrorTheTablePromises) {
  const std::vector<std::pair<int, Code>> table = {{401, Code::kDenied},
                                                   {403, Code::kDenied},
                                                   {407, Code::kDenied},
                                                   {404, Code::kNotFound},
                                                   {410, Code::kNotFound},
                                                   {408, Code::kTimedOut},
                                                   {504, Code::kTimedOut},
                                                   {412, Code::kConflict},
                                                   {416, Code::kInvalid},
                                                   {429, Code::kBusy},
                                                   {500, Code::kUnavailable},
                                                   {503, Code::kUnavailable},
                                                   {599, Code::kUnavailable},
                                                   {418, Code::kUnsupported},
                                                   {300, Code::kUnsupported}};
  for (const auto& [status, code] : table) {
    server_.set_decide(
        [status = status](const auto&) { return testing::answer_with(status, "7"); });
    MemorySink sink(kObjectBytes);
    const auto head = get(request(), sink);
    ASSERT_TRUE(head.ok()) << head.error().message();
    EXPECT_EQ(head->status, status);
    EXPECT_EQ(sink.bytes().size(), 0U);
    const base::Error error = http_error(head.value(), request().url);
    EXPECT_EQ(error.code(), code) << status;
    EXPECT_EQ(error.retry_after(), std::chrono::seconds(7));
    EXPECT_EQ(error.file(), request().url);
  }
}

TEST_F(HttpClientTest, ALongBodyOfAnErrorStatusIsNotReadToItsEnd) {
  server_.set_decide([](const auto&) {
    Fault fault = testing::answer_with(503);
    fault.object = testing::make_object(std::string(200'000, 'x'));
    fault.stall_after = 150'000;
    return fault;
  });
  MemorySink sink(kObjectBytes);
  const auto head = get(request(), sink);
  ASSERT_TRUE(head.ok()) << head.error().message();
  EXPECT_EQ(head->status, 503);
  EXPECT_EQ(sink.bytes().size(), 0U);
}

TEST_F(HttpClientTest, AProxyIsAskedForTheAbsoluteUrl) {
  HttpServer proxy;
  proxy.put("/model", testing::make_object("through the proxy"));
  HttpClientOptions options;
  options.proxy = proxy.url();
  options.no_proxy = "elsewhere.invalid";
  HttpGet ask;
  ask.url = "http://models.invalid/model";
  MemorySink sink(100);
  const auto head = make_http_client(options)->get(call_, ask, sink);
  ASSERT_TRUE(head.ok()) << head.error().message();
  EXPECT_EQ(sink.bytes(), "through the proxy");
  EXPECT_EQ(proxy.requests().back().target, ask.url);
}

TEST_F(HttpClientTest, AProxyThatForwardsIsToldItsOwnCredentialsAndKeepsOneConnection) {
  HttpServer proxy;
  proxy.put("/model", testing::make_object("through the proxy"));
  HttpClientOptions options;
  options.proxy = "http://me:pw@127.0.0.1:" + std::to_string(proxy.port());
  options.no_proxy = "elsewhere.invalid";
  const auto client = make_http_client(options);
  for (const std::string host : {"a.invalid", "b.invalid"}) {
    HttpGet ask;
    ask.url = "http://you:secret@" + host + "/model?q=1";
    MemorySink sink(100);
    ASSERT_TRUE(client->get(call_, ask, sink).ok());
    const auto seen = proxy.requests().back();
    EXPECT_EQ(seen.target, "http://" + host + "/model?q=1");
    EXPECT_EQ(seen.header("host"), host);
    EXPECT_EQ(seen.header("proxy-authorization"), "Basic bWU6cHc=");
    EXPECT_EQ(seen.header("authorization"), "Basic eW91OnNlY3JldA==");
  }
  EXPECT_EQ(proxy.connections(), 1U);
}

TEST_F(HttpClientTest, AConnectionThatBreaksUnansweredIsReplacedOnceAndNoMore) {
  MemorySink sink(kObjectBytes);
  ASSERT_TRUE(get(request(), sink).ok());
  // It hangs up on every request, as a server does whose patience with idle connections is over.
  server_.set_refuse([](const auto&) -> std::optional<Fault> {
    Fault fault;
    fault.hang_up = true;
    return fault;
  });
  MemorySink again(kObjectBytes);
  const auto head = get(request(), again);
  ASSERT_FALSE(head.ok());
  EXPECT_EQ(head.error().code(), Code::kUnavailable);
  EXPECT_EQ(server_.connections(), 2U);
}

TEST_F(HttpClientTest, AHostNamedInNoProxyIsAskedDirectly) {
  HttpServer proxy;
  HttpClientOptions options = direct();
  options.proxy = proxy.url();
  MemorySink sink(kObjectBytes);
  const auto head = make_http_client(options)->get(call_, request(), sink);
  ASSERT_TRUE(head.ok()) << head.error().message();
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(proxy.counts().requests, 0U);
}

}  // namespace
}  // namespace weighbridge::net
