#include "registry/authorizer.h"

#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "registry/testing/client_fixture.h"
#include "testing/manual_clock.h"

namespace weighbridge::registry {
namespace {

using base::Code;
using testing::FakeRules;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Pair;
using testing::some_bytes;
using testing::user_credential;
using weighbridge::testing::Fault;
using weighbridge::testing::HttpRequest;
using weighbridge::testing::HttpServer;
using weighbridge::testing::ManualClock;
using weighbridge::testing::MemorySink;

const std::string kRepository = "org/model";

FakeRules rules_with(FakeRules::Auth auth) {
  FakeRules rules;
  rules.auth = auth;
  return rules;
}

std::uint64_t token_requests(Pair& pair) {
  return pair.fake().server().counts("/token").requests;
}

TEST(Authorizer, AnswersBasicOnceItIsAsked) {
  Pair pair(rules_with(FakeRules::Auth::kBasic));
  ASSERT_TRUE(pair.client().ping(pair.call()).ok());
  ASSERT_TRUE(pair.client().ping(pair.call()).ok());
  const auto requests = pair.fake().server().requests();
  ASSERT_EQ(requests.size(), 3U);
  EXPECT_EQ(requests[0].header("authorization"), "");
  EXPECT_NE(requests[2].header("authorization"), "");
}

TEST(Authorizer, FetchesATokenForEachScopeOnce) {
  Pair pair(rules_with(FakeRules::Auth::kBearer));
  pair.fake().put_blob(kRepository, "x");
  const Descriptor blob = describe("a/b", "x");
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(pair.client().get_blob(pair.call(), kRepository, blob, 10).ok());
  }
  EXPECT_EQ(token_requests(pair), 1U);
  ASSERT_TRUE(pair.client().begin_upload(pair.call(), kRepository).ok());
  EXPECT_EQ(token_requests(pair), 2U);
  // No second 401: it knew where to ask.
  const auto requests = pair.fake().server().requests();
  EXPECT_EQ(requests.size(), 1U + 1U + 3U + 1U + 1U);
}

TEST(Authorizer, AsksForBothScopesOfAMountAtOnce) {
  Pair pair(rules_with(FakeRules::Auth::kBearer));
  pair.fake().put_blob("other/place", "x");
  const Digest digest = Digest::of(std::string_view("x"));
  ASSERT_FALSE(pair.client().mount(pair.call(), kRepository, digest, "other/place")->has_value());
  const auto requests = pair.fake().server().requests();
  EXPECT_THAT(requests[1].query, HasSubstr("other%2Fplace%3Apull"));
  EXPECT_THAT(requests[1].query, HasSubstr("org%2Fmodel%3Apull%2Cpush"));
}

TEST(Authorizer, RenewsATokenBeforeItEnds) {
  FakeRules rules = rules_with(FakeRules::Auth::kBearer);
  ManualClock clock;
  Pair pair(rules, user_credential("user", "the-password"), clock);
  ASSERT_TRUE(pair.client().ping(pair.call()).ok());
  clock.advance(std::chrono::seconds(44));  // 60 where nothing is said, less a quarter
  ASSERT_TRUE(pair.client().ping(pair.call()).ok());
  EXPECT_EQ(token_requests(pair), 1U);
  clock.advance(std::chrono::seconds(2));
  ASSERT_TRUE(pair.client().ping(pair.call()).ok());
  EXPECT_EQ(token_requests(pair), 2U);
}

TEST(Authorizer, RenewsInTheMiddleOfABlobAndTheRangeGoesOn) {
  Pair pair(rules_with(FakeRules::Auth::kBearer));
  const std::string bytes = some_bytes(10'000);
  pair.fake().put_blob(kRepository, bytes);
  const Descriptor blob = describe("a/b", bytes);
  MemorySink sink(bytes.size());
  ASSERT_TRUE(pair.client().read_blob(pair.call(), kRepository, blob, {0, 5000}, sink).ok());
  pair.fake().expire_tokens();
  ASSERT_TRUE(pair.client().read_blob(pair.call(), kRepository, blob, {5000, 10'000}, sink).ok());
  EXPECT_EQ(sink.bytes(), bytes);
  EXPECT_EQ(pair.fake().tokens_given(), 2U);
}

TEST(Authorizer, RenewsInTheMiddleOfAnUploadForTheNextTry) {
  Pair pair(rules_with(FakeRules::Auth::kBearer));
  const std::string bytes = some_bytes(10'000);
  Upload upload = pair.client().begin_upload(pair.call(), kRepository).value();
  pair.fake().expire_tokens();
  base::MemoryBody body(std::as_bytes(std::span(bytes)));
  const auto sent = pair.client().patch(pair.call(), upload, body);
  EXPECT_EQ(sent.error().code(), Code::kUnavailable);
  ASSERT_TRUE(pair.client().resync(pair.call(), upload).ok());
  base::MemoryBody again(std::as_bytes(std::span(bytes)));
  ASSERT_TRUE(pair.client().patch(pair.call(), upload, again).ok());
  EXPECT_TRUE(pair.client().finish(pair.call(), upload, Digest::of(std::string_view(bytes))).ok());
}

TEST(Authorizer, ExchangesAnIdentityTokenInTheBodyOfAPost) {
  FakeRules rules = rules_with(FakeRules::Auth::kBearer);
  rules.identity_token = "identity&secret";
  Credential credential;
  credential.identity_token = Secret("identity&secret");
  Pair pair(rules, credential);
  ASSERT_TRUE(pair.client().ping(pair.call()).ok());
  const auto requests = pair.fake().server().requests();
  EXPECT_EQ(requests[1].method, "POST");
  EXPECT_THAT(requests[1].target, Not(HasSubstr("secret")));
  EXPECT_THAT(requests[1].body, HasSubstr("grant_type=refresh_token"));
}

TEST(Authorizer, DeniesAtOnceWithWhatToDo) {
  for (const auto auth : {FakeRules::Auth::kBasic, FakeRules::Auth::kBearer}) {
    Pair wrong(rules_with(auth), user_credential("user", "hunter2"));
    const auto refused = wrong.client().ping(wrong.call());
    EXPECT_EQ(refused.error().code(), Code::kDenied);
    EXPECT_THAT(refused.error().hint(), HasSubstr("weighbridge login"));
    EXPECT_THAT(refused.error().message(), HasSubstr(wrong.fake().host()));
    EXPECT_THAT(refused.error().message(), Not(HasSubstr("hunter2")));
    EXPECT_LE(wrong.fake().server().counts().requests, 3U);
    Pair nobody(rules_with(auth), std::nullopt);
    EXPECT_EQ(nobody.client().ping(nobody.call()).error().code(), Code::kDenied);
  }
}

TEST(Authorizer, ShowsNoSecretThatARegistrySendsBack) {
  HttpServer hostile;
  hostile.set_decide([&](const HttpRequest& request) {
    Fault fault;
    const std::string authorization(request.header("authorization"));
    fault.status = authorization.empty() ? 401 : 400;
    fault.headers = {{"WWW-Authenticate", "Basic realm=\"x\""}};
    fault.object = weighbridge::testing::make_object(
        R"({"errors":[{"code":"NAME_INVALID","message":"you said )" + authorization + "\"}]}");
    return fault;
  });
  const auto http = net::make_http_client(Pair::direct());
  testing::OneCredential credentials(user_credential("user", "the-password"));
  const std::string host = hostile.url().substr(7);
  Client client({host, {}, {}, *http, *http, credentials});
  const base::Call call(base::system_clock());
  const auto refused = client.ping(call);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message(), Not(HasSubstr("dXNlcjp0aGUtcGFzc3dvcmQ")));
  EXPECT_THAT(refused.error().message(), Not(HasSubstr("the-password")));
}

TEST(Authorizer, GivesNoCredentialToAServiceWithoutTls) {
  HttpServer service;
  net::HttpHead refused;
  refused.status = 401;
  refused.headers = {
      {"www-authenticate", "Bearer realm=\"" + service.url("/token") + "\",service=\"x\""}};
  const auto http = net::make_http_client(Pair::direct());
  testing::OneCredential credentials(user_credential("user", "the-password"));
  Authorizer authorizer("registry.example", true, *http, credentials);
  const base::Call call(base::system_clock());
  const auto renewed = authorizer.renew(call, refused, {}, {});
  EXPECT_EQ(renewed.error().code(), Code::kDenied);
  EXPECT_TRUE(service.requests().empty());
}

TEST(Authorizer, RefusesWhatIsNoToken) {
  for (const char* body : {"",
                           "{}",
                           "[]",
                           R"({"token":7})",
                           R"({"token":"a\r\nX: y"})",
                           R"({"token":"a b"})",
                           R"({"token":""})"}) {
    HttpServer service([&](const HttpRequest&) {
      Fault fault;
      fault.status = 200;
      fault.object = weighbridge::testing::make_object(body);
      return fault;
    });
    net::HttpHead refused;
    refused.status = 401;
    refused.headers = {{"www-authenticate", "Bearer realm=\"" + service.url("/token") + "\""}};
    const auto http = net::make_http_client(Pair::direct());
    testing::OneCredential credentials(std::nullopt);
    Authorizer authorizer("localhost", false, *http, credentials);
    const base::Call call(base::system_clock());
    EXPECT_EQ(authorizer.renew(call, refused, {}, {}).error().code(), Code::kCorrupt) << body;
  }
}

TEST(Authorizer, FetchesATokenThatManyThreadsWantOnce) {
  Pair pair(rules_with(FakeRules::Auth::kBearer));
  ASSERT_TRUE(pair.client().ping(pair.call()).ok());
  pair.fake().put_blob(kRepository, "x");
  const Descriptor blob = describe("a/b", "x");
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back(
          [&] { EXPECT_TRUE(pair.client().get_blob(pair.call(), kRepository, blob, 10).ok()); });
    }
  }
  EXPECT_EQ(pair.fake().tokens_given(), 1U + 1U);
}

}  // namespace
}  // namespace weighbridge::registry
