// Requests with a body: what leaves, from where, and what comes back.

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <latch>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/http_client.h"
#include "testing/http_server.h"

namespace weighbridge::net {
namespace {

using base::Code;
using testing::Fault;
using testing::HttpRequest;
using testing::HttpServer;

std::string some_bytes(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<char>(i * 131 / 7);
  }
  return bytes;
}

// A file that is gone when this is. Confined to the test.
class ScratchFile {
 public:
  explicit ScratchFile(const std::string& bytes) {
    std::string name = std::filesystem::temp_directory_path() / "http_send_XXXXXX";
    descriptor_ = ::mkstemp(name.data());
    ::unlink(name.c_str());
    EXPECT_EQ(::write(descriptor_, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }

  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  ~ScratchFile() { ::close(descriptor_); }

  int descriptor() const { return descriptor_; }

 private:
  int descriptor_ = -1;
};

// Parts as given, then an error. Counts how many were asked for. Confined, as every source.
class PartsBody final : public base::BodySource {
 public:
  PartsBody(std::uint64_t size, std::vector<base::BodyPart> parts)
      : size_(size), parts_(std::move(parts)) {}

  std::uint64_t size_bytes() const override { return size_; }

  base::Result<base::BodyPart> next(const base::Call& /*call*/) override {
    if (asked_ == parts_.size()) {
      return base::Error(Code::kIo, "the disk is gone");
    }
    return parts_[asked_++];
  }

  std::size_t asked() const { return asked_; }

 private:
  const std::uint64_t size_;
  const std::vector<base::BodyPart> parts_;
  std::size_t asked_ = 0;
};

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

class HttpSendTest : public ::testing::Test {
 protected:
  HttpSendTest() {
    server_.set_decide([](const HttpRequest&) {
      Fault fault;
      fault.status = 201;
      fault.headers = {{"Location", "/there"}};
      return fault;
    });
    HttpClientOptions options;
    options.no_proxy = "127.0.0.1";
    client_ = make_http_client(options);
  }

  HttpSend request(const std::string& method, base::BodySource* body = nullptr) const {
    HttpSend send;
    send.method = method;
    send.url = server_.url("/upload");
    send.body = body;
    return send;
  }

  base::Result<HttpReply> send(const HttpSend& request) { return client_->send(call_, request); }

  HttpServer server_;
  const base::Call call_ = base::Call(base::system_clock()).within(std::chrono::seconds(60));
  std::unique_ptr<HttpClient> client_;
  std::atomic<int> seen_ = 0;
};

TEST_F(HttpSendTest, ABodyInMemoryArrivesAndTheAnswerComesBack) {
  const std::string text = some_bytes(3'000'000);
  base::MemoryBody body(bytes_of(text));
  HttpSend put = request("PUT", &body);
  put.headers = {{"Content-Type", "text/x"}};
  put.credentials = {{"Authorization", "Bearer t"}};
  const auto reply = send(put);
  ASSERT_TRUE(reply.ok()) << reply.error().message();
  EXPECT_EQ(reply->head.status, 201);
  EXPECT_EQ(reply->head.header("location"), "/there");
  EXPECT_EQ(reply->body, "status 201\n");
  EXPECT_TRUE(reply->body_complete);
  const HttpRequest seen = server_.requests().back();
  EXPECT_EQ(seen.method, "PUT");
  EXPECT_EQ(seen.header("content-type"), "text/x");
  EXPECT_EQ(seen.header("authorization"), "Bearer t");
  EXPECT_EQ(seen.header("content-length"), "3000000");
  EXPECT_TRUE(seen.body == text);
}

TEST_F(HttpSendTest, PartsInFilesAndInMemoryMakeOneBody) {
  const std::string text = some_bytes(2'000'000);
  const ScratchFile file(text);
  const std::string between = "between";
  PartsBody body(1'000'000 + 7 + 500'000,
                 {base::FilePart{file.descriptor(), 300'000, 1'000'000},
                  bytes_of(between),
                  base::FilePart{file.descriptor(), 0, 500'000}});
  const auto reply = send(request("PATCH", &body));
  ASSERT_TRUE(reply.ok()) << reply.error().message();
  EXPECT_TRUE(server_.requests().back().body ==
              text.substr(300'000, 1'000'000) + between + text.substr(0, 500'000));
}

TEST_F(HttpSendTest, RequestsWithoutABodyShareOneConnectionWithThoseThatHaveOne) {
  const std::string text = "x";
  for (const std::string method : {"POST", "HEAD", "DELETE", "PUT", "PATCH", "GET"}) {
    base::MemoryBody body(bytes_of(text));
    ASSERT_TRUE(send(request(method)).ok()) << method;
    const bool says_length = method == "POST" || method == "PUT" || method == "PATCH";
    EXPECT_EQ(server_.requests().back().header("content-length"), says_length ? "0" : "") << method;
    ASSERT_TRUE(send(request("PUT", &body)).ok());
  }
  EXPECT_EQ(server_.connections(), 1U);
}

TEST_F(HttpSendTest, AnAnswerThatComesBeforeTheBodyEndsTheSending) {
  server_.set_refuse([](const HttpRequest&) { return testing::answer_with(413); });
  const std::string part = some_bytes(1'000'000);
  const std::vector<base::BodyPart> parts(1000, base::BodyPart(bytes_of(part)));
  PartsBody body(1'000'000'000, parts);
  const auto reply = send(request("PUT", &body));
  ASSERT_TRUE(reply.ok()) << reply.error().message();
  EXPECT_EQ(reply->head.status, 413);
  EXPECT_EQ(reply->body, "status 413\n");
  EXPECT_LT(body.asked(), 200U);
  server_.set_refuse({});
  ASSERT_TRUE(send(request("POST")).ok());
  EXPECT_EQ(server_.connections(), 2U);
}

TEST_F(HttpSendTest, ARedirectIsTheCallersToFollow) {
  server_.set_decide([](const HttpRequest&) { return testing::redirect_to("/elsewhere", 307); });
  const std::string text = "x";
  base::MemoryBody body(bytes_of(text));
  const auto reply = send(request("PUT", &body));
  ASSERT_TRUE(reply.ok()) << reply.error().message();
  EXPECT_EQ(reply->head.status, 307);
  EXPECT_EQ(reply->head.header("location"), "/elsewhere");
  EXPECT_EQ(server_.counts().requests, 1U);
}

TEST_F(HttpSendTest, OfAnAnswersBodyOnlyTheLimitIsKept) {
  server_.set_decide([](const HttpRequest&) {
    Fault fault;
    fault.status = 400;
    fault.object = testing::make_object(std::string(100'000, 'e'));
    return fault;
  });
  HttpSend post = request("POST");
  post.answer_limit = 5000;
  const auto reply = send(post);
  ASSERT_TRUE(reply.ok()) << reply.error().message();
  EXPECT_EQ(reply->head.status, 400);
  EXPECT_EQ(reply->body, std::string(5000, 'e'));
  EXPECT_FALSE(reply->body_complete);
}

TEST_F(HttpSendTest, TheErrorOfABodyIsReturnedAsItIs) {
  const std::string text = some_bytes(100'000);
  PartsBody body(200'000, {bytes_of(text)});
  const auto reply = send(request("PUT", &body));
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.error().code(), Code::kIo);
  EXPECT_EQ(reply.error().message(), "the disk is gone");
}

TEST_F(HttpSendTest, AFileThatEndsEarlyIsAnErrorAndNotAShortBody) {
  const ScratchFile file("short");
  PartsBody body(100, {base::FilePart{file.descriptor(), 0, 100}});
  const auto reply = send(request("PUT", &body));
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.error().code(), Code::kIo) << reply.error().message();
  EXPECT_EQ(server_.counts().requests, 0U);
}

TEST_F(HttpSendTest, ABodyOfAnotherLengthThanItSaidIsNotSent) {
  const std::string text = some_bytes(100);
  PartsBody body(50, {bytes_of(text)});
  const auto reply = send(request("PUT", &body));
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.error().code(), Code::kInternal);
}

TEST_F(HttpSendTest, WhatCannotBeSentIsInvalid) {
  HttpSend own = request("PUT");
  own.headers = {{"Content-Length", "5"}};
  HttpSend smuggled = request("PUT");
  smuggled.credentials = {{"X", "1\r\nY: 2"}};
  for (const HttpSend& bad : {own, smuggled, request("G\r\nX: "), request("CONNECT")}) {
    const auto reply = send(bad);
    ASSERT_FALSE(reply.ok());
    EXPECT_EQ(reply.error().code(), Code::kInvalid);
  }
  EXPECT_EQ(server_.connections(), 0U);
}

TEST_F(HttpSendTest, WhatIsNotIdempotentIsNotSentTwiceWhenTheConnectionBreaks) {
  for (const auto& [method, times] :
       {std::pair("POST", 1), std::pair("PATCH", 1), std::pair("DELETE", 2)}) {
    server_.set_refuse({});
    ASSERT_TRUE(send(request(method)).ok());
    seen_ = 0;
    server_.set_refuse([this](const HttpRequest&) -> std::optional<Fault> {
      ++seen_;
      Fault fault;
      fault.hang_up = true;
      return fault;
    });
    const auto reply = send(request(method));
    ASSERT_FALSE(reply.ok());
    EXPECT_EQ(reply.error().code(), Code::kUnavailable);
    EXPECT_EQ(seen_, times) << method;
  }
}

TEST_F(HttpSendTest, AStopRequestEndsTheSendingToAServerThatDoesNotRead) {
  std::latch asked(1);
  std::latch let_go(1);
  server_.set_refuse([&](const HttpRequest&) -> std::optional<Fault> {
    asked.count_down();
    let_go.wait();
    return Fault{};
  });
  std::stop_source stop;
  const std::jthread stopper([&] {
    asked.wait();
    stop.request_stop();
  });
  const std::string text = some_bytes(64'000'000);
  base::MemoryBody body(bytes_of(text));
  const auto reply = client_->send(call_.stopped_by(stop.get_token()), request("PUT", &body));
  let_go.count_down();
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.error().code(), Code::kCancelled);
}

TEST_F(HttpSendTest, AServerThatDoesNotReadHasStalled) {
  std::latch let_go(1);
  server_.set_refuse([&](const HttpRequest&) -> std::optional<Fault> {
    let_go.wait();
    return Fault{};
  });
  HttpClientOptions options;
  options.no_proxy = "127.0.0.1";
  options.stall_timeout = std::chrono::milliseconds(100);
  const std::string text = some_bytes(64'000'000);
  base::MemoryBody body(bytes_of(text));
  const auto reply = make_http_client(options)->send(call_, request("PUT", &body));
  let_go.count_down();
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.error().code(), Code::kTimedOut) << reply.error().message();
}

}  // namespace
}  // namespace weighbridge::net
