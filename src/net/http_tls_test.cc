// TLS against a real server: `openssl s_server`, with a certificate made for the occasion.

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/http_client.h"
#include "testing/http_server.h"
#include "testing/memory_sink.h"

namespace weighbridge::net {
namespace {

using base::Code;

// Runs `openssl` in a directory, its output in a pipe that the caller closes.
struct Child {
  pid_t pid = 0;
  int output = -1;
};

Child start_openssl(const std::string& directory, const std::string& arguments) {
  std::string command = "exec openssl " + arguments + " 2>&1";
  std::string shell = "/bin/sh";
  std::string option = "-c";
  std::array<char*, 4> words = {shell.data(), option.data(), command.data(), nullptr};
  std::array<int, 2> pipe_ends = {-1, -1};
  if (::pipe2(pipe_ends.data(), O_CLOEXEC) != 0) {
    return {};
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addchdir_np(&actions, directory.c_str());
  Child child;
  child.output = pipe_ends[0];
  if (::posix_spawn(&child.pid, shell.c_str(), &actions, nullptr, words.data(), environ) != 0) {
    child.pid = 0;
  }
  posix_spawn_file_actions_destroy(&actions);
  ::close(pipe_ends[1]);
  return child;
}

// Reads until `mark` has come or the output ends.
std::string read_until(int output, const std::string& mark) {
  std::string text;
  char byte = 0;
  while (text.find(mark) == std::string::npos && ::read(output, &byte, 1) == 1) {
    text += byte;
  }
  return text;
}

// An HTTPS server on 127.0.0.1 whose certificate names that address and nothing else, and is its
// own CA. Serves what `put` was given, as it is: a whole answer, head included.
class HttpTlsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() / "http_tls_XXXXXX";
    ASSERT_NE(::mkdtemp(directory_.data()), nullptr);
    const Child made = start_openssl(
        directory_,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem "
        "-out ca.pem -days 2 -subj /CN=weighbridge-test -addext subjectAltName=IP:127.0.0.1");
    const std::string said = read_until(made.output, "\n\n\n");
    ::close(made.output);
    int status = 0;
    ::waitpid(made.pid, &status, 0);
    ASSERT_EQ(status, 0) << said;
    server_ =
        start_openssl(directory_, "s_server -accept 127.0.0.1:0 -cert ca.pem -key key.pem -HTTP");
    const std::string accepting = read_until(server_.output, "ACCEPT 127.0.0.1:");
    ASSERT_THAT(accepting, ::testing::HasSubstr("ACCEPT"));
    const std::string port = read_until(server_.output, "\n");
    port_ = port.substr(0, port.find('\n'));
    put("model", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbytes");
  }

  void TearDown() override {
    if (server_.pid != 0) {
      ::kill(server_.pid, SIGKILL);
      ::waitpid(server_.pid, nullptr, 0);
      ::close(server_.output);
    }
    std::filesystem::remove_all(directory_);
  }

  void put(const std::string& name, const std::string& answer) const {
    std::ofstream(directory_ + "/" + name, std::ios::binary) << answer;
  }

  HttpClientOptions options() const {
    HttpClientOptions options;
    options.no_proxy = "127.0.0.1,localhost,registry.example";
    return options;
  }

  base::Result<HttpHead> get_with(const HttpClientOptions& options, const std::string& url) {
    HttpGet request;
    request.url = url;
    const auto call = base::Call(base::system_clock()).within(std::chrono::seconds(30));
    return make_http_client(options)->get(call, request, sink_);
  }

  base::Result<HttpHead> get(const std::string& host,
                             const std::string& path,
                             const std::string& ca_file) {
    HttpClientOptions options;
    options.ca_file = ca_file;
    options.no_proxy = "127.0.0.1,localhost";
    HttpGet request;
    request.url = fmt::format("https://{}:{}/{}", host, port_, path);
    request.credentials = {{"Authorization", "Bearer secret"}};
    const auto call = base::Call(base::system_clock()).within(std::chrono::seconds(30));
    return make_http_client(options)->get(call, request, sink_);
  }

  std::string ca_file() const { return directory_ + "/ca.pem"; }

  std::string directory_;
  std::string port_;
  Child server_;
  testing::MemorySink sink_{100};
};

TEST_F(HttpTlsTest, ACaOfOnesOwnIsTrustedWhenNamed) {
  const auto head = get("127.0.0.1", "model", ca_file());
  ASSERT_TRUE(head.ok()) << head.error().message();
  EXPECT_EQ(sink_.bytes(), "bytes");
}

TEST_F(HttpTlsTest, AServerThatNeedNotBeVerifiedIsTheOneThatWasNamed) {
  HttpClientOptions careless = options();
  careless.own_server.origin = fmt::format("https://localhost:{}", port_);
  careless.own_server.insecure = true;
  const auto named = get_with(careless, fmt::format("https://localhost:{}/model", port_));
  EXPECT_TRUE(named.ok()) << named.error().message();
  const auto other = get_with(careless, fmt::format("https://127.0.0.1:{}/model", port_));
  EXPECT_EQ(other.error().code(), Code::kDenied);
}

TEST_F(HttpTlsTest, ACarelessnessEndsAtARedirect) {
  put("away",
      fmt::format("HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:{}/model\r\n"
                  "Connection: close\r\nContent-Length: 0\r\n\r\n",
                  port_));
  HttpClientOptions careless = options();
  careless.own_server.origin = fmt::format("https://localhost:{}", port_);
  careless.own_server.insecure = true;
  const auto head = get_with(careless, fmt::format("https://localhost:{}/away", port_));
  EXPECT_EQ(head.error().code(), Code::kDenied);
}

TEST_F(HttpTlsTest, AClientCertificateThatCannotBeReadIsInvalid) {
  HttpClientOptions with = options();
  with.ca_file = ca_file();
  with.own_server.origin = fmt::format("https://127.0.0.1:{}", port_);
  with.own_server.client_cert_file = directory_ + "/absent.pem";
  const auto head = get_with(with, fmt::format("https://127.0.0.1:{}/model", port_));
  EXPECT_EQ(head.error().code(), Code::kInvalid);
  with.own_server.client_cert_file = ca_file();
  with.own_server.client_key_file = directory_ + "/key.pem";
  EXPECT_TRUE(get_with(with, fmt::format("https://127.0.0.1:{}/model", port_)).ok());
}

TEST_F(HttpTlsTest, AHostIsFoundWhereTheOptionsSay) {
  HttpClientOptions with = options();
  with.own_server.origin = fmt::format("https://registry.example:{}", port_);
  with.own_server.insecure = true;
  with.resolve = {fmt::format("registry.example:{}:127.0.0.1", port_)};
  const auto head = get_with(with, fmt::format("https://registry.example:{}/model", port_));
  EXPECT_TRUE(head.ok()) << head.error().message();
}

TEST_F(HttpTlsTest, ALongBodyIsReceivedToItsLastByte) {
  std::string bytes(5'000'000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<char>(i * 131 / 7);
  }
  put("long", fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.size()) + bytes);
  testing::MemorySink sink(bytes.size(), 1 << 20);
  HttpClientOptions options;
  options.ca_file = ca_file();
  options.no_proxy = "127.0.0.1";
  HttpGet request;
  request.url = fmt::format("https://127.0.0.1:{}/long", port_);
  const auto call = base::Call(base::system_clock()).within(std::chrono::seconds(30));
  const auto head = make_http_client(options)->get(call, request, sink);
  ASSERT_TRUE(head.ok()) << head.error().message();
  EXPECT_TRUE(sink.bytes() == bytes);
}

TEST_F(HttpTlsTest, AStopRequestWhileTheHandshakeWaitsEndsItAtOnce) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(::bind(listener, reinterpret_cast<const sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  std::stop_source stop;
  int accepted = -1;
  std::jthread silent([&] {
    accepted = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    char byte = 0;
    static_cast<void>(::read(accepted, &byte, 1));  // the handshake has begun
    stop.request_stop();
  });
  HttpClientOptions options;
  options.no_proxy = "127.0.0.1";
  HttpGet request;
  request.url = fmt::format("https://127.0.0.1:{}/", ntohs(address.sin_port));
  const auto call = base::Call(base::system_clock()).stopped_by(stop.get_token());
  const auto head = make_http_client(options)->get(call, request, sink_);
  silent.join();
  ::close(accepted);
  ::close(listener);
  ASSERT_FALSE(head.ok());
  EXPECT_EQ(head.error().code(), Code::kCancelled);
}

TEST_F(HttpTlsTest, AnUnknownCaIsDeniedWithAHintHowToNameIt) {
  const auto head = get("127.0.0.1", "model", "");
  ASSERT_FALSE(head.ok());
  EXPECT_EQ(head.error().code(), Code::kDenied) << head.error().message();
  EXPECT_THAT(head.error().hint(), ::testing::HasSubstr("SSL_CERT_FILE"));
}

TEST_F(HttpTlsTest, ACertificateForAnotherHostIsDenied) {
  const auto head = get("localhost", "model", ca_file());
  ASSERT_FALSE(head.ok());
  EXPECT_EQ(head.error().code(), Code::kDenied) << head.error().message();
}

TEST_F(HttpTlsTest, ACaFileThatCannotBeReadIsInvalidAndNamed) {
  const auto head = get("127.0.0.1", "model", directory_ + "/absent.pem");
  ASSERT_FALSE(head.ok());
  EXPECT_EQ(head.error().code(), Code::kInvalid);
  EXPECT_THAT(head.error().message(), ::testing::HasSubstr("absent.pem"));
}

TEST_F(HttpTlsTest, ADowngradeToHttpIsFollowedWithoutCredentials) {
  testing::HttpServer plain;
  plain.put("/model", testing::make_object("plain"));
  put("away",
      fmt::format("HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
                  plain.url("/model")));
  const auto head = get("127.0.0.1", "away", ca_file());
  ASSERT_TRUE(head.ok()) << head.error().message();
  EXPECT_EQ(sink_.bytes(), "plain");
  ASSERT_EQ(plain.requests().size(), 1U);
  EXPECT_EQ(plain.requests().front().header("authorization"), "");
}

}  // namespace
}  // namespace weighbridge::net
