// Who gets the credentials when a server sends us elsewhere, and what no error may ever say.

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/http_client.h"
#include "testing/http_server.h"
#include "testing/memory_sink.h"

namespace weighbridge::net {
namespace {

using base::Code;
using testing::Fault;
using testing::HttpRequest;
using testing::HttpServer;

constexpr std::string_view kCanary = "c4n4ry";

HttpClientOptions direct() {
  HttpClientOptions options;
  options.no_proxy = "127.0.0.1,localhost";
  return options;
}

base::Result<HttpHead> get(HttpClient& client, const HttpGet& request) {
  testing::MemorySink sink(100);
  const auto call = base::Call(base::system_clock()).within(std::chrono::seconds(30));
  return client.get(call, request, sink);
}

// Two servers: `locations` of the first says where its paths redirect to, /target is on both, and
// /back of the second leads to the first's target.
struct World {
  explicit World(std::map<std::string, std::string> locations, int status = 302) {
    home.put("/target", testing::make_object("here"));
    other.put("/target", testing::make_object("here"));
    home.set_decide([locations = std::move(locations), status](const HttpRequest& request) {
      const auto found = locations.find(request.path);
      return found == locations.end() ? Fault{} : testing::redirect_to(found->second, status);
    });
    other.set_decide([this](const HttpRequest& request) {
      return request.path == "/back" ? testing::redirect_to(home.url("/target")) : Fault{};
    });
  }

  HttpServer home;
  HttpServer other;
  std::unique_ptr<HttpClient> client = make_http_client(direct());
};

struct Hop {
  std::string name;
  std::string location;  // {home} and {other} stand for the ports
  bool trusted;
};

void PrintTo(const Hop& hop, std::ostream* out) {
  *out << hop.name;
}

class HttpRedirects : public ::testing::TestWithParam<Hop> {};

TEST_P(HttpRedirects, CarryCredentialsOnlyToTheirOwnSchemeHostAndPort) {
  World world({});
  const std::string location = fmt::format(fmt::runtime(GetParam().location),
                                           fmt::arg("home", world.home.port()),
                                           fmt::arg("other", world.other.port()));
  world.home.set_decide([&](const HttpRequest& request) {
    return request.path == "/start" ? testing::redirect_to(location) : Fault{};
  });
  HttpGet request;
  request.url = fmt::format("http://me:{}@127.0.0.1:{}/start", kCanary, world.home.port());
  request.headers = {{"X-Everywhere", "yes"}};
  request.credentials = {{"Cookie", "session=" + std::string(kCanary)}};
  const auto head = get(*world.client, request);
  ASSERT_TRUE(head.ok()) << head.error().message();
  EXPECT_EQ(head->status, 200);

  auto seen = world.home.requests();
  for (const HttpRequest& elsewhere : world.other.requests()) {
    seen.push_back(elsewhere);
  }
  int targets = 0;
  for (const HttpRequest& one : seen) {
    const bool entitled = one.path == "/start" || (one.path == "/target" && GetParam().trusted);
    EXPECT_EQ(one.header("authorization"), entitled ? "Basic bWU6YzRuNHJ5" : "") << one.path;
    EXPECT_EQ(one.header("cookie"), entitled ? "session=c4n4ry" : "") << one.path;
    EXPECT_EQ(one.header("x-everywhere"), "yes");
    targets += one.path == "/target" ? 1 : 0;
  }
  EXPECT_EQ(targets, 1);
}

INSTANTIATE_TEST_SUITE_P(
    Matrix,
    HttpRedirects,
    ::testing::Values(Hop{"Relative", "target", true},
                      Hop{"AbsolutePath", "/target", true},
                      Hop{"SameOrigin", "http://127.0.0.1:{home}/target", true},
                      Hop{"SchemeRelative", "//127.0.0.1:{home}/target", true},
                      Hop{"TheirUserinfo", "http://evil:pw@127.0.0.1:{home}/target", true},
                      Hop{"OtherHost", "http://localhost:{home}/target", false},
                      Hop{"OtherHostTheirUserinfo", "http://a:b@localhost:{home}/target", false},
                      Hop{"OtherPort", "http://127.0.0.1:{other}/target", false},
                      Hop{"OtherPortTheirUserinfo", "http://a:b@127.0.0.1:{other}/target", false},
                      Hop{"AwayAndBack", "http://127.0.0.1:{other}/back", false}),
    [](const auto& hop) { return hop.param.name; });

TEST(HttpRedirect, EachRedirectStatusIsFollowedWithTheRange) {
  for (const int status : {301, 302, 303, 307, 308}) {
    World world({{"/start", "/target"}}, status);
    HttpGet request;
    request.url = world.home.url("/start");
    request.range = base::Range{1, 3};
    const auto head = get(*world.client, request);
    ASSERT_TRUE(head.ok()) << head.error().message();
    EXPECT_EQ(head->status, 206) << status;
    EXPECT_EQ(world.home.connections(), 1U);
  }
}

TEST(HttpRedirect, TenRedirectsAreFollowedAndElevenAreInvalid) {
  std::map<std::string, std::string> chain;
  for (int left = 11; left > 0; --left) {
    chain[fmt::format("/{}", left)] = left == 1 ? "/target" : fmt::format("/{}", left - 1);
  }
  World world(chain);
  HttpGet request;
  request.url = world.home.url("/10");
  EXPECT_TRUE(get(*world.client, request).ok());
  request.url = world.home.url("/11");
  const auto head = get(*world.client, request);
  ASSERT_FALSE(head.ok());
  EXPECT_EQ(head.error().code(), Code::kInvalid);
}

TEST(HttpRedirect, ToAnythingButHttpIsInvalid) {
  for (const std::string location :
       {"file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/", "http://", "http:///x"}) {
    World world({{"/start", location}});
    HttpGet request;
    request.url = world.home.url("/start");
    const auto head = get(*world.client, request);
    ASSERT_FALSE(head.ok()) << location;
    EXPECT_EQ(head.error().code(), Code::kInvalid) << location;
  }
}

// Every text that an error carries.
std::string all_of(const base::Error& error) {
  return error.message() + "|" + error.file().value_or("") + "|" + error.hint();
}

TEST(HttpErrors, NeverHoldACredentialOrAQuery) {
  World world({{"/file", fmt::format("file:///x?{}", kCanary)},
               {"/loop", fmt::format("/loop?{}", kCanary)},
               {"/away", fmt::format("http://me:{}@127.0.0.1:1/x?{}", kCanary, kCanary)}});
  const std::string port = std::to_string(world.home.port());
  const std::string userinfo = fmt::format("http://me:{}@127.0.0.1:", kCanary);
  const std::string query = fmt::format("?token={}", kCanary);
  for (const std::string& url : {fmt::format("{}1/refused{}", userinfo, query),
                                 fmt::format("{}{}/file{}", userinfo, port, query),
                                 fmt::format("{}{}/loop{}", userinfo, port, query),
                                 fmt::format("{}{}/away{}", userinfo, port, query),
                                 fmt::format("{}99999/bad-port{}", userinfo, query),
                                 fmt::format("{}{}/a b{}", userinfo, port, query),
                                 fmt::format("http://me:{}/x@127.0.0.1:{}/", kCanary, port),
                                 fmt::format("ftp://me:{}@127.0.0.1/x", kCanary),
                                 fmt::format("http://127.0.0.1/x#{}", kCanary)}) {
    HttpGet request;
    request.url = url;
    request.credentials = {{"Authorization", "Bearer " + std::string(kCanary)}};
    const auto head = get(*world.client, request);
    ASSERT_FALSE(head.ok()) << url;
    EXPECT_THAT(all_of(head.error()), ::testing::Not(::testing::HasSubstr(std::string(kCanary))));
  }
  HttpHead denied;
  denied.status = 403;
  const base::Error error = http_error(denied, userinfo + "1/x" + query);
  EXPECT_EQ(error.file(), "http://127.0.0.1:1/x");
  EXPECT_THAT(all_of(error), ::testing::Not(::testing::HasSubstr(std::string(kCanary))));
}

TEST(HttpErrors, NeverHoldTheCredentialsOfTheProxyOrOfAHeader) {
  HttpClientOptions options;
  options.no_proxy = "elsewhere.invalid";
  HttpGet request;
  request.url = "http://models.invalid/x";
  request.credentials = {{"Authorization", fmt::format("{}\r\nX: y", kCanary)}};
  for (const auto& proxy : {fmt::format("http://me:{}@127.0.0.1:1", kCanary),
                            fmt::format("nonsense://me:{}@127.0.0.1:1", kCanary),
                            fmt::format("http://me:{}@127.0.0.1:99999", kCanary)}) {
    options.proxy = proxy;
    const auto client = make_http_client(options);
    HttpGet plain = request;
    plain.credentials.clear();
    for (const HttpGet& one : {request, plain}) {
      const auto head = get(*client, one);
      ASSERT_FALSE(head.ok());
      EXPECT_THAT(all_of(head.error()), ::testing::Not(::testing::HasSubstr(std::string(kCanary))));
    }
  }
}

}  // namespace
}  // namespace weighbridge::net
