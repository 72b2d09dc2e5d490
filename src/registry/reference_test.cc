#include "registry/reference.h"

#include <string>

#include <gtest/gtest.h>

namespace weighbridge::registry {
namespace {

using base::Code;

const std::string kHex(64, 'a');

TEST(Reference, IsTakenApart) {
  const auto reference =
      Reference::parse("oci://Host.example:5000/org/model_x.y--z:v1.0@sha256:" + kHex);
  ASSERT_TRUE(reference.ok());
  EXPECT_EQ(reference->host, "host.example:5000");
  EXPECT_EQ(reference->repository, "org/model_x.y--z");
  EXPECT_EQ(reference->tag, "v1.0");
  EXPECT_EQ(reference->digest->text(), "sha256:" + kHex);
  EXPECT_EQ(to_text(reference->name()), "sha256:" + kHex);
}

TEST(Reference, IsPrintedSoThatItParsesToTheSame) {
  for (const std::string& text : {std::string("h/r"),
                                  std::string("h:1/r:t"),
                                  std::string("[::1]:5000/a/b/c:t"),
                                  "127.0.0.1:5000/r@sha256:" + kHex,
                                  "h/a__b:T@blake3:" + kHex,
                                  "h/r@sha512:" + kHex + kHex}) {
    const auto reference = Reference::parse(text);
    ASSERT_TRUE(reference.ok()) << text;
    EXPECT_EQ(reference->text(), text);
    EXPECT_EQ(Reference::parse(reference->text()).value(), reference.value());
  }
}

TEST(Reference, WithoutTagAndDigestAsksForLatest) {
  EXPECT_EQ(to_text(Reference::parse("h/r")->name()), "latest");
  EXPECT_EQ(to_text(Reference::parse("h/r:t")->name()), "t");
}

TEST(Reference, ToDockerHubGetsItsLibrary) {
  EXPECT_EQ(Reference::parse("docker.io/ubuntu")->text(), "docker.io/library/ubuntu");
  EXPECT_EQ(Reference::parse("index.docker.io/ai/llama:3")->text(), "docker.io/ai/llama:3");
  EXPECT_EQ(Reference::parse("ghcr.io/one")->repository, "one");
}

TEST(Reference, OutsideTheGrammarIsInvalidAndSaysWhatIsRight) {
  const std::string longest(255, 'a');
  for (const std::string& text : {std::string(),
                                  std::string("model"),
                                  std::string("model:tag"),
                                  std::string("h/"),
                                  std::string("/r"),
                                  std::string("h//r"),
                                  std::string("h/r/"),
                                  std::string("h/Upper"),
                                  std::string("h/a..b"),
                                  std::string("h/a___b"),
                                  std::string("h/-a"),
                                  std::string("h/a-"),
                                  std::string("h/.."),
                                  std::string("h/a/../b"),
                                  std::string("h/a%2fb"),
                                  std::string("h/a?b"),
                                  std::string("h/a b"),
                                  std::string("h/r:"),
                                  std::string("h/r:-t"),
                                  std::string("h/r:.t"),
                                  std::string("h/r:t/u"),
                                  "h/r:" + std::string(129, 't'),
                                  "h/" + longest + "a",
                                  longest + "a/r",
                                  std::string("h:/r"),
                                  std::string("h:0/r"),
                                  std::string("h:65536/r"),
                                  std::string("h:x/r"),
                                  std::string("-h/r"),
                                  std::string("h_h/r"),
                                  std::string("user@h/r"),
                                  std::string("user:pass@h/r"),
                                  std::string("[::1/r"),
                                  std::string("h/r@"),
                                  std::string("h/r@sha256:a"),
                                  std::string("h/r\n"),
                                  std::string("http://h/r"),
                                  std::string(5000, 'a')}) {
    const auto reference = Reference::parse(text);
    ASSERT_FALSE(reference.ok()) << text;
    EXPECT_EQ(reference.error().code(), Code::kInvalid) << text;
    EXPECT_FALSE(reference.error().hint().empty()) << text;
    EXPECT_EQ(reference.error().message().find("pass"), std::string::npos);
  }
}

TEST(Reference, ByADigestThatCannotBeCheckedIsUnsupported) {
  EXPECT_EQ(Reference::parse("h/r@md5:" + std::string(32, 'a')).error().code(), Code::kUnsupported);
}

TEST(Reference, TakesTheLongestNamesOfTheGrammar) {
  EXPECT_TRUE(Reference::parse("h/" + std::string(255, 'a')).ok());
  EXPECT_TRUE(Reference::parse("h/r:" + std::string(128, 't')).ok());
}

TEST(Loopback, IsWhatNeverLeavesThisMachine) {
  for (const char* host :
       {"localhost", "LOCALHOST:5000", "127.0.0.1", "127.8.9.10:1", "[::1]", "[::1]:5000"}) {
    EXPECT_TRUE(is_loopback(host)) << host;
  }
  for (const char* host : {"localhost.evil.example",
                           "127.0.0.1.evil.example",
                           "127.0.0",
                           "128.0.0.1",
                           "10.0.0.1",
                           "[::2]",
                           "h",
                           "127.0.0.999"}) {
    EXPECT_FALSE(is_loopback(host)) << host;
  }
}

}  // namespace
}  // namespace weighbridge::registry
