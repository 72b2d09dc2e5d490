#include "registry/docker_config.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighbridge::registry {
namespace {

using base::Code;
using ::testing::HasSubstr;
using ::testing::Not;

// "user:pass:word"
constexpr std::string_view kFile = R"({
  "auths": {
    "https://index.docker.io/v1/": {"auth": "dXNlcjpwYXNzOndvcmQ="},
    "Host.example:5000": {"username": "u", "password": "p", "email": "x"},
    "token.example": {"identitytoken": "it"},
    "raw.example": {"registrytoken": "rt"},
    "helped.example": {}
  },
  "credHelpers": {"gcr.io": "gcloud"},
  "credsStore": "pass",
  "HttpHeaders": {"X": "y"},
  "detachKeys": "ctrl-e,e"
})";

TEST(DockerConfig, FindsCredentialsByHost) {
  const auto config = DockerConfig::parse(kFile);
  ASSERT_TRUE(config.ok()) << config.error().message();
  EXPECT_EQ(config->find("docker.io")->user, "user");
  EXPECT_EQ(config->find("docker.io")->password.reveal(), "pass:word");
  EXPECT_EQ(config->find("host.example:5000")->password.reveal(), "p");
  EXPECT_EQ(config->find("token.example")->identity_token.reveal(), "it");
  EXPECT_EQ(config->find("raw.example")->registry_token.reveal(), "rt");
  EXPECT_EQ(config->find("helped.example"), std::nullopt);
  EXPECT_EQ(config->find("host.example"), std::nullopt);
}

TEST(DockerConfig, NamesTheHelperOfAHostBeforeTheOneOfAll) {
  const auto config = DockerConfig::parse(kFile);
  EXPECT_EQ(config->helper("gcr.io"), "gcloud");
  EXPECT_EQ(config->helper("docker.io"), "pass");
  EXPECT_EQ(DockerConfig::parse("{}")->helper("docker.io"), std::nullopt);
}

TEST(DockerConfig, KeepsWhatElseTheFileHolds) {
  auto config = DockerConfig::parse(kFile);
  Credential credential;
  credential.user = "new";
  credential.password = Secret("secret");
  config->set("docker.io", credential);
  config->set("ghcr.io", credential);
  EXPECT_TRUE(config->erase("token.example"));
  EXPECT_FALSE(config->erase("token.example"));
  const auto again = DockerConfig::parse(config->text());
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(again->find("docker.io"), credential);
  EXPECT_EQ(again->find("ghcr.io"), credential);
  EXPECT_EQ(again->find("token.example"), std::nullopt);
  EXPECT_EQ(again->helper("gcr.io"), "gcloud");
  EXPECT_THAT(config->text(), HasSubstr(R"("HttpHeaders": {"X":"y"})"));
  EXPECT_THAT(config->text(), HasSubstr(R"("detachKeys": "ctrl-e,e")"));
  EXPECT_THAT(config->text(), HasSubstr(R"("email":"x")"));
  EXPECT_THAT(config->text(), HasSubstr("https://index.docker.io/v1/"));
}

TEST(DockerConfig, ThatIsMalformedNamesTheMemberAndNotItsValue) {
  for (const char* text : {"",
                           "[]",
                           "{",
                           R"({"auths": 7})",
                           R"({"auths": {"h": {"auth": "hunter2"}}})",
                           R"({"auths": {"h": {"auth": "aHVudGVyMg=="}}})",
                           R"({"auths": {"h": {"password": ["hunter2"]}}})",
                           R"({"auths": {"h": "hunter2"}})",
                           R"({"credsStore": {"hunter2": 1}})",
                           R"({"credHelpers": {"h": 1}})"}) {
    const auto config = DockerConfig::parse(text);
    ASSERT_FALSE(config.ok()) << text;
    EXPECT_EQ(config.error().code(), Code::kInvalid) << text;
    EXPECT_THAT(config.error().message(), Not(HasSubstr("hunter2")));
  }
  EXPECT_EQ(DockerConfig::parse(std::string(2 << 20, ' ')).error().code(), Code::kInvalid);
}

TEST(DockerConfig, ReadsBase64ToTheLetter) {
  EXPECT_EQ(base64_decoded("Zm9vYmFy"), "foobar");
  EXPECT_EQ(base64_decoded("Zm9vYg=="), "foob");
  EXPECT_EQ(base64_decoded("Zm9vYmE="), "fooba");
  EXPECT_EQ(base64_decoded(""), "");
  for (const char* text : {"Zm9v!", "Zm9", "Z=9v", "Zm9vYg==="}) {
    EXPECT_EQ(base64_decoded(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace weighbridge::registry
