#include "registry/credentials.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <stop_token>
#include <string>
#include <type_traits>

#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "registry/registries.h"
#include "registry/testing/client_fixture.h"
#include "registry/testing/fake_registry.h"
#include "testing/scratch_directory.h"

namespace weighbridge::registry {
namespace {

using base::Code;
using testing::FakeRegistry;
using testing::FakeRules;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::user_credential;
using weighbridge::testing::ScratchDirectory;

static_assert(!std::is_convertible_v<Secret, std::string>, "a secret is revealed on purpose only");
static_assert(!std::is_convertible_v<Secret, std::string_view>);

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class CredentialsTest : public ::testing::Test {
 protected:
  CredentialsTest() {
    variables_["PATH"] = scratch_.path() + ":/usr/bin:/bin";
    variables_["HOME"] = scratch_.path();
    variables_["AWS_SECRET_ACCESS_KEY"] = "not-for-helpers";
  }

  std::unique_ptr<Credentials> credentials() {
    return docker_credentials(*files_, scratch_ / "docker", environment());
  }

  Environment environment() {
    return [variables = variables_](const std::string& name) -> std::optional<std::string> {
      const auto found = variables.find(name);
      return found == variables.end() ? std::nullopt : std::optional(found->second);
    };
  }

  void write_config(const std::string& text) {
    std::filesystem::create_directory(scratch_ / "docker");
    std::ofstream(scratch_ / "docker/config.json") << text;
  }

  std::string config() { return read_file(scratch_ / "docker/config.json"); }

  // A program that keeps one credential in a file beside it.
  void write_helper(const std::string& name, const std::string& script) {
    const std::string path = scratch_ / ("docker-credential-" + name);
    std::ofstream(path) << "#!/bin/sh\ncd '" << scratch_.path() << "'\n" << script;
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  }

  void write_keeping_helper() {
    write_helper("keep", R"(
env > environment
case "$1" in
  store) cat > kept ;;
  get) cat > asked; if [ -f kept ]; then cat kept; else echo 'credentials not found in native keychain'; exit 1; fi ;;
  erase) rm kept ;;
esac
)");
    write_config(R"({"credsStore": "keep"})");
  }

  const ScratchDirectory scratch_;
  const std::unique_ptr<io::FileSystem> files_ = io::real_file_system();
  std::map<std::string, std::string> variables_;
  const base::Call call_ = base::Call(base::system_clock()).within(std::chrono::seconds(60));
};

TEST_F(CredentialsTest, AreNoneWithoutAFile) {
  EXPECT_EQ(credentials()->find(call_, "h").value(), std::nullopt);
  EXPECT_FALSE(credentials()->erase(call_, "h").value());
}

TEST_F(CredentialsTest, AreStoredForTheUserAlone) {
  const Credential credential = user_credential("u", "p");
  ASSERT_TRUE(credentials()->store(call_, "h", credential).ok());
  EXPECT_EQ(credentials()->find(call_, "h").value(), credential);

  struct stat info {};

  ASSERT_EQ(::stat((scratch_ / "docker/config.json").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  ASSERT_EQ(::stat((scratch_ / "docker").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0700U);
  EXPECT_TRUE(credentials()->erase(call_, "h").value());
  EXPECT_EQ(credentials()->find(call_, "h").value(), std::nullopt);
}

TEST_F(CredentialsTest, InAMalformedFileAreNotOverwritten) {
  write_config("{broken");
  EXPECT_EQ(credentials()->find(call_, "h").error().code(), Code::kInvalid);
  EXPECT_EQ(credentials()->store(call_, "h", user_credential("u", "p")).error().code(),
            Code::kInvalid);
  EXPECT_EQ(config(), "{broken");
}

TEST_F(CredentialsTest, KeepALinkedFileLinked) {
  std::ofstream(scratch_ / "real.json") << "{}";
  std::filesystem::create_directory(scratch_ / "docker");
  std::filesystem::create_symlink(scratch_ / "real.json", scratch_ / "docker/config.json");
  ASSERT_TRUE(credentials()->store(call_, "h", user_credential("u", "p")).ok());
  EXPECT_TRUE(std::filesystem::is_symlink(scratch_ / "docker/config.json"));
  EXPECT_THAT(read_file(scratch_ / "real.json"), HasSubstr("auths"));
}

TEST_F(CredentialsTest, GoThroughTheHelperAndNotIntoTheFile) {
  write_keeping_helper();
  EXPECT_EQ(credentials()->find(call_, "docker.io").value(), std::nullopt);
  EXPECT_EQ(read_file(scratch_ / "asked"), "https://index.docker.io/v1/");
  const Credential credential = user_credential("u", "pass\"word");
  ASSERT_TRUE(credentials()->store(call_, "docker.io", credential).ok());
  EXPECT_EQ(credentials()->find(call_, "docker.io").value(), credential);
  EXPECT_THAT(config(), Not(HasSubstr("auth")));
  EXPECT_TRUE(credentials()->erase(call_, "docker.io").value());
  EXPECT_FALSE(credentials()->erase(call_, "docker.io").value());
}

TEST_F(CredentialsTest, GiveAHelperNoSecretOfTheEnvironment) {
  write_keeping_helper();
  ASSERT_TRUE(credentials()->find(call_, "h").ok());
  EXPECT_THAT(read_file(scratch_ / "environment"), Not(HasSubstr("not-for-helpers")));
  EXPECT_THAT(read_file(scratch_ / "environment"), HasSubstr("HOME="));
}

TEST_F(CredentialsTest, OfTheUserTokenAreAnIdentityToken) {
  write_helper("keep", R"(echo '{"ServerURL":"h","Username":"<token>","Secret":"it"}')");
  write_config(R"({"credHelpers": {"h": "keep"}})");
  EXPECT_EQ(credentials()->find(call_, "h").value()->identity_token.reveal(), "it");
}

TEST_F(CredentialsTest, ThatAHelperFailsToGiveAreAnErrorWithoutItsWords) {
  write_config(R"({"credHelpers": {"h": "bad", "absent": "absent", "path": "../x"}})");
  write_helper("bad", "echo the-password; exit 3");
  const auto failed = credentials()->find(call_, "h");
  EXPECT_EQ(failed.error().code(), Code::kDenied);
  EXPECT_THAT(failed.error().message(), HasSubstr("docker-credential-bad get"));
  EXPECT_THAT(failed.error().message() + failed.error().hint(), Not(HasSubstr("the-password")));
  write_helper("bad", "echo the-password");
  EXPECT_EQ(credentials()->find(call_, "h").error().code(), Code::kCorrupt);
  write_helper("bad", "head -c 100000 /dev/zero");
  EXPECT_EQ(credentials()->find(call_, "h").error().code(), Code::kExhausted);
  EXPECT_EQ(credentials()->find(call_, "absent").error().code(), Code::kNotFound);
  EXPECT_EQ(credentials()->find(call_, "path").error().code(), Code::kInvalid);
}

TEST_F(CredentialsTest, AreNotWaitedForBeyondTheCall) {
  write_config(R"({"credHelpers": {"h": "slow"}})");
  write_helper("slow", "sleep 1000");
  const base::Call hasty = call_.within(std::chrono::milliseconds(100));
  EXPECT_EQ(credentials()->find(hasty, "h").error().code(), Code::kTimedOut);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(credentials()->find(call_.stopped_by(stop.get_token()), "h").error().code(),
            Code::kCancelled);
}

TEST_F(CredentialsTest, AreStoredByLoginOnceTheRegistryTakesThem) {
  FakeRules rules;
  rules.auth = FakeRules::Auth::kBearer;
  FakeRegistry fake(rules);
  const auto kept = credentials();
  Registries::Options options;
  options.make_http = [](net::HttpClientOptions http) {
    http.no_proxy = "*";
    return net::make_http_client(http);
  };
  const auto registries = Registries::open(*files_, *kept, options).value();
  const auto wrong = login(call_, *registries, fake.host(), user_credential("user", "wrong-one"));
  EXPECT_EQ(wrong.error().code(), Code::kDenied);
  EXPECT_THAT(wrong.error().message() + wrong.error().hint(), Not(HasSubstr("wrong-one")));
  EXPECT_EQ(kept->find(call_, fake.host()).value(), std::nullopt);
  const Credential right = user_credential("user", "the-password");
  ASSERT_TRUE(login(call_, *registries, fake.host(), right).ok());
  EXPECT_EQ(kept->find(call_, fake.host()).value(), right);
  EXPECT_TRUE(registries->at(fake.host()).value()->ping(call_).ok());
  EXPECT_TRUE(logout(call_, *registries, fake.host()).value());
  EXPECT_FALSE(logout(call_, *registries, fake.host()).value());
}

TEST(DockerConfigDirectory, IsWhereDockerLooks) {
  const auto with = [](std::map<std::string, std::string> variables) {
    return docker_config_directory(
        [variables](const std::string& name) -> std::optional<std::string> {
          const auto found = variables.find(name);
          return found == variables.end() ? std::nullopt : std::optional(found->second);
        });
  };
  EXPECT_EQ(with({{"DOCKER_CONFIG", "/d"}, {"HOME", "/h"}}), "/d");
  EXPECT_EQ(with({{"HOME", "/h"}}), "/h/.docker");
  EXPECT_EQ(with({}), "");
}

}  // namespace
}  // namespace weighbridge::registry
