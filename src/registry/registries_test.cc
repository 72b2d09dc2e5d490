#include "registry/registries.h"

#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "registry/testing/client_fixture.h"
#include "testing/scratch_directory.h"

namespace weighbridge::registry {
namespace {

using base::Code;
using testing::FakeRegistry;
using testing::FakeRules;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::OneCredential;
using weighbridge::testing::ScratchDirectory;

TEST(Settings, SayHowEachRegistryIsSpokenTo) {
  const auto settings = parse_settings(R"({"registries": {
    "Host.example:5000": {"plain_http": true, "insecure": true, "ca_file": "/ca",
      "client_cert": "/cert", "client_key": "/key", "proxy": "http://p", "headers": {"X-A": "b"},
      "resolve": ["h:1:2"], "capabilities": {"patch": false}},
    "index.docker.io": {}}})");
  ASSERT_TRUE(settings.ok()) << settings.error().message();
  const Settings& one = settings->at("host.example:5000");
  EXPECT_EQ(one.plain_http, true);
  EXPECT_TRUE(one.insecure);
  EXPECT_EQ(one.ca_file + one.client_cert_file + one.client_key_file, "/ca/cert/key");
  EXPECT_EQ(one.proxy, "http://p");
  EXPECT_EQ(one.headers.at(0).value, "b");
  EXPECT_EQ(one.resolve, std::vector<std::string>{"h:1:2"});
  EXPECT_EQ(one.capabilities, R"({"patch":false})");
  EXPECT_TRUE(settings->contains("docker.io"));
  EXPECT_FALSE(settings->at("docker.io").insecure);
}

TEST(Settings, ThatAreWrongAreNamedWithoutTheirValue) {
  for (const char* text : {R"({"registry": {}})",
                           R"({"registries": []})",
                           R"({"registries": {"h": {"plainhttp": true}}})",
                           R"({"registries": {"h": {"plain_http": "hunter2"}}})",
                           R"({"registries": {"h": {"headers": {"X": "hunter2\n"}}}})",
                           R"({"registries": {"h": {"headers": {"X Y": "hunter2"}}}})",
                           R"({"registries": {"h": {"capabilities": {"fly": true}}}})",
                           R"({"registries": {"h": {}, "H": {}}})",
                           R"({"registries": {"h": {"resolve": ["h:1"]}}})",
                           R"({"registries": {"h": {"resolve": ["h::a"]}}})",
                           R"({"registries": {"u@h": {}}})"}) {
    const auto settings = parse_settings(text);
    ASSERT_FALSE(settings.ok()) << text;
    EXPECT_EQ(settings.error().code(), Code::kInvalid) << text;
    EXPECT_THAT(settings.error().message(), Not(HasSubstr("hunter2")));
  }
}

TEST(Settings, HoldForTheirOwnServerAlone) {
  Settings settings;
  settings.insecure = true;
  settings.client_cert_file = "/cert";
  const net::HttpClientOptions options = http_options("host.example", settings, true);
  EXPECT_EQ(options.own_server.origin, "https://host.example:443");
  EXPECT_TRUE(options.own_server.insecure);
  EXPECT_EQ(options.own_server.client_cert_file, "/cert");
  EXPECT_EQ(options.stall_timeout, kPatience);
  EXPECT_EQ(http_options("docker.io", {}, false).own_server.origin,
            "https://registry-1.docker.io:443");
  EXPECT_EQ(http_options("localhost:5000", {}, false).own_server.origin, "http://localhost:5000");
}

class RegistriesTest : public ::testing::Test {
 protected:
  std::unique_ptr<Registries> open() {
    Registries::Options options;
    options.home = scratch_.path();
    options.make_http = [](net::HttpClientOptions http) {
      http.no_proxy = "*";
      return net::make_http_client(http);
    };
    return Registries::open(*files_, credentials_, options).value();
  }

  const ScratchDirectory scratch_;
  const std::unique_ptr<io::FileSystem> files_ = io::real_file_system();
  OneCredential credentials_{std::nullopt};
  const base::Call call_ = base::Call(base::system_clock()).within(std::chrono::seconds(60));
};

TEST_F(RegistriesTest, GiveOneClientAHost) {
  const auto registries = open();
  EXPECT_EQ(registries->at("docker.io").value(), registries->at("index.docker.io").value());
  EXPECT_NE(registries->at("ghcr.io").value(), registries->at("docker.io").value());
  EXPECT_EQ(registries->at("no host").error().code(), Code::kInvalid);
}

TEST_F(RegistriesTest, RememberWhatWasLearned) {
  FakeRules rules;
  rules.patch = FakeRules::Patch::kUnsupported;
  FakeRegistry fake(rules);
  {
    const auto registries = open();
    Client& client = *registries->at(fake.host()).value();
    Upload upload = client.begin_upload(call_, "a").value();
    base::MemoryBody body(std::as_bytes(std::span("xy")));
    EXPECT_FALSE(client.patch(call_, upload, body).ok());
    ASSERT_TRUE(registries->remember().ok());
  }
  EXPECT_FALSE(open()->at(fake.host()).value()->capabilities().patch);
  std::ofstream(scratch_ / "registries.json")
      << R"({"registries": {")" << fake.host() << R"(": {"capabilities": {"patch": true}}}})";
  EXPECT_TRUE(open()->at(fake.host()).value()->capabilities().patch);
}

TEST_F(RegistriesTest, BeginAnewWhereWhatWasLearnedCannotBeRead) {
  std::ofstream(scratch_ / "registries-learned.json") << R"({"h": {"fly": 1}, "i)";
  EXPECT_TRUE(open()->at("h").ok());
}

TEST_F(RegistriesTest, RefuseSettingsThatCannotBeRead) {
  std::ofstream(scratch_ / "registries.json") << "{";
  Registries::Options options;
  options.home = scratch_.path();
  const auto registries = Registries::open(*files_, credentials_, options);
  EXPECT_EQ(registries.error().code(), Code::kInvalid);
  EXPECT_EQ(registries.error().file(), scratch_ / "registries.json");
}

}  // namespace
}  // namespace weighbridge::registry
