#include "model/ref.h"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace weighbridge::model {
namespace {

using base::Code;

std::string hex() {
  return "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
}

struct Accepted {
  std::string text;
  Scheme scheme;
  std::string location;   // empty: the text
  std::string printable;  // empty: the text
};

class AcceptedRef : public testing::TestWithParam<Accepted> {};

TEST_P(AcceptedRef, IsTakenApartAndPrintedBackIdentically) {
  const Accepted& wanted = GetParam();
  const auto ref = Ref::parse(wanted.text);
  ASSERT_TRUE(ref.ok()) << ref.error().message();
  EXPECT_EQ(ref->scheme(), wanted.scheme);
  EXPECT_EQ(ref->text(), wanted.text);
  EXPECT_EQ(ref->location(), wanted.location.empty() ? wanted.text : wanted.location);
  EXPECT_EQ(ref->printable(), wanted.printable.empty() ? wanted.text : wanted.printable);
}

INSTANTIATE_TEST_SUITE_P(
    Urls,
    AcceptedRef,
    testing::Values(Accepted{"https://host/model/", Scheme::kHttp, "", ""},
                    Accepted{"http://host/model/model.safetensors", Scheme::kHttp, "", ""},
                    Accepted{"http://host", Scheme::kHttp, "", ""},
                    Accepted{"http://host:8080/a", Scheme::kHttp, "", ""},
                    Accepted{"https://Host.EXAMPLE/Model/", Scheme::kHttp, "", ""},
                    Accepted{"http://[::1]:80/a", Scheme::kHttp, "", ""},
                    Accepted{"http://host/a%20b", Scheme::kHttp, "", ""},
                    Accepted{"http://host/\xC3\xA9", Scheme::kHttp, "", ""},
                    Accepted{"http://host/a@b", Scheme::kHttp, "", ""},
                    Accepted{"http://host/a://b", Scheme::kHttp, "", ""},
                    Accepted{"http://me:secret@host/a", Scheme::kHttp, "", "http://host/a"},
                    Accepted{"http://me:se@cret@host/a", Scheme::kHttp, "", "http://host/a"},
                    Accepted{"http://me@host", Scheme::kHttp, "", "http://host"},
                    Accepted{"http://host/a?token=secret", Scheme::kHttp, "", "http://host/a"},
                    Accepted{"http://host?token=a/b@c", Scheme::kHttp, "", "http://host"},
                    Accepted{"oci://host/repo:tag", Scheme::kOci, "", ""},
                    Accepted{"oci://host:5000/a/b:tag@sha256:ab", Scheme::kOci, "", ""},
                    Accepted{"s3://bucket/prefix", Scheme::kS3, "", ""},
                    Accepted{
                        "s3://key:secret@bucket/prefix", Scheme::kS3, "", "s3://bucket/prefix"},
                    Accepted{"oss://bucket/prefix/", Scheme::kOss, "", ""},
                    Accepted{"hf://org/name", Scheme::kHf, "", ""},
                    Accepted{"hf://org/name@refs/pr/1", Scheme::kHf, "", ""},
                    Accepted{"modelscope://org/name@v1.0", Scheme::kModelscope, "", ""},
                    Accepted{"nfs://host/export/path", Scheme::kNfs, "", ""},
                    Accepted{"cache://bucket/path", Scheme::kCache, "", ""}));

// What a password or a typo turns into something else is not printed either.
INSTANTIATE_TEST_SUITE_P(
    Mistyped,
    AcceptedRef,
    testing::Values(Accepted{"http://user:pa/SECRET@h/", Scheme::kHttp, "", "http://..."},
                    Accepted{"http://user:pa?SECRET@h/", Scheme::kHttp, "", "http://..."},
                    Accepted{"http://user:pa/SEC@RET@h/a?b", Scheme::kHttp, "", "http://..."},
                    Accepted{"http://user:12/SECRET@h/", Scheme::kHttp, "", "http://..."},
                    Accepted{"http://me@user:pa/SECRET@h/", Scheme::kHttp, "", "http://..."},
                    Accepted{"http://user:1a/SECRET@h/#sha256=" + hex(),
                             Scheme::kHttp,
                             "http://user:1a/SECRET@h/",
                             "http://...#sha256=" + hex()},
                    Accepted{"oci://user:pa/SECRET@h/x", Scheme::kOci, "", "oci://..."},
                    Accepted{"hf://org:pa/SECRET@h/x", Scheme::kHf, "", "hf://..."},
                    Accepted{"http://u:PW@h:80/a@b", Scheme::kHttp, "", "http://h:80/a@b"},
                    Accepted{"http://[::1]:80/a@b", Scheme::kHttp, "", ""},
                    Accepted{"oci://host/repo@sha256:ab", Scheme::kOci, "", ""},
                    Accepted{"oci://host:5000/repo@sha256:ab", Scheme::kOci, "", ""},
                    Accepted{"oci://user:PW@host/repo@sha256:ab",
                             Scheme::kOci,
                             "",
                             "oci://host/repo@sha256:ab"},
                    Accepted{"hf://org/name@rev", Scheme::kHf, "", ""},
                    Accepted{"hf://org/name@a:b", Scheme::kHf, "", ""},
                    Accepted{"oci://repo:tag", Scheme::kOci, "", ""},
                    Accepted{"http:/u:PW@h/", Scheme::kFile, "", "http:...@h/"},
                    Accepted{"u:PW@host/x", Scheme::kFile, "", "u:...@host/x"},
                    Accepted{"u:P/W@Q@host/x", Scheme::kFile, "", "u:...@host/x"},
                    Accepted{"a@b:c/d", Scheme::kFile, "", ""},
                    Accepted{"file:///a:b@c", Scheme::kFile, "/a:b@c", ""}));

INSTANTIATE_TEST_SUITE_P(
    Paths,
    AcceptedRef,
    testing::Values(Accepted{"file:///models/a", Scheme::kFile, "/models/a", ""},
                    Accepted{"file://localhost/models/a", Scheme::kFile, "/models/a", ""},
                    Accepted{"file:///", Scheme::kFile, "/", ""},
                    Accepted{"file:///a%20b%23c%3f%25", Scheme::kFile, "/a b#c?%", ""},
                    Accepted{"file:///%C3%A9%ff", Scheme::kFile, "/\xC3\xA9\xFF", ""},
                    Accepted{"file:///a b", Scheme::kFile, "/a b", ""},
                    Accepted{"/models/a", Scheme::kFile, "", ""},
                    Accepted{"models/a", Scheme::kFile, "", ""},
                    Accepted{"model.safetensors", Scheme::kFile, "", ""},
                    Accepted{".", Scheme::kFile, "", ""},
                    Accepted{"./a:b", Scheme::kFile, "", ""},
                    Accepted{"a/b:c", Scheme::kFile, "", ""},
                    Accepted{"a:b:c", Scheme::kFile, "", ""},
                    Accepted{"a:", Scheme::kFile, "", ""},
                    Accepted{":a", Scheme::kFile, "", ""},
                    Accepted{"a:/b", Scheme::kFile, "", ""},
                    Accepted{"a#b", Scheme::kFile, "", ""},
                    Accepted{"a#SHA256=00", Scheme::kFile, "", ""},
                    Accepted{"#", Scheme::kFile, "", ""},
                    Accepted{"a?b", Scheme::kFile, "", ""},
                    Accepted{"a%20b", Scheme::kFile, "", ""},
                    Accepted{"a b", Scheme::kFile, "", ""},
                    Accepted{"me@host/a", Scheme::kFile, "", ""},
                    Accepted{"\xFF", Scheme::kFile, "", "\\xff"},
                    Accepted{"caf\xC3\xA9", Scheme::kFile, "", ""},
                    Accepted{"name:tag", Scheme::kName, "", ""},
                    Accepted{"llama-3.1_8b:v2.0", Scheme::kName, "", ""}));

INSTANTIATE_TEST_SUITE_P(
    Pinned,
    AcceptedRef,
    testing::Values(
        Accepted{"./a#sha256=" + hex(), Scheme::kFile, "./a", ""},
        Accepted{"a#b#blake3=" + hex(), Scheme::kFile, "a#b", ""},
        Accepted{"a:b#blake3=" + hex(), Scheme::kName, "a:b", ""},
        Accepted{"file:///a%20b#blake3=" + hex(), Scheme::kFile, "/a b", ""},
        Accepted{"http://host/a/#sha256=" + hex(), Scheme::kHttp, "http://host/a/", ""},
        Accepted{"http://me:pw@host/a?x=y#sha256=" + hex(),
                 Scheme::kHttp,
                 "http://me:pw@host/a?x=y",
                 "http://host/a#sha256=" + hex()},
        Accepted{"hf://org/name@main#sha256=" + hex(), Scheme::kHf, "hf://org/name@main", ""}));

struct Refused {
  std::string text;
  std::string reason;  // a part of the message
};

class RefusedRef : public testing::TestWithParam<Refused> {};

TEST_P(RefusedRef, SaysWhatIsWrongAndWhatWouldBeRight) {
  const auto ref = Ref::parse(GetParam().text);
  ASSERT_FALSE(ref.ok());
  EXPECT_EQ(ref.error().code(), Code::kInvalid);
  EXPECT_NE(ref.error().message().find(GetParam().reason), std::string::npos)
      << ref.error().message();
  EXPECT_NE(ref.error().hint().find("reference"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Texts,
                         RefusedRef,
                         testing::Values(Refused{"", "names nothing"},
                                         Refused{std::string(8193, 'a'), "longer than 8192 bytes"},
                                         Refused{"a\nb", "control character"},
                                         Refused{std::string("a\0b", 3), "control character"},
                                         Refused{"http://host/\x7F", "control character"},
                                         Refused{"http://host/\xFF", "UTF-8"},
                                         Refused{"http://host/\xC2\x9B", "UTF-8 without control"},
                                         Refused{"ftp://host/a", "\"ftp\" is not a scheme"},
                                         Refused{"HTTP://host/a", "not a scheme"},
                                         Refused{"://host/a", "not a scheme"},
                                         Refused{"./a://b", "not a scheme"},
                                         Refused{"http://", "nothing is named"},
                                         Refused{"http:///a", "nothing is named"},
                                         Refused{"http://?a", "nothing is named"},
                                         Refused{"http://:80/a", "nothing is named"},
                                         Refused{"http://me@/a", "nothing is named"},
                                         Refused{"http://ho st/a", "space or backslash"},
                                         Refused{"http://good\\@evil/a", "space or backslash"},
                                         Refused{"s3:///a", "nothing is named"},
                                         Refused{"hf://token@org/name", "no '@'"},
                                         Refused{"file://", "absolute path"},
                                         Refused{"file://a", "absolute path"},
                                         Refused{"file://host/a", "absolute path"},
                                         Refused{"file:///a?b", "no query"},
                                         Refused{"file:///a%", "two hexadecimal digits"},
                                         Refused{"file:///a%2", "two hexadecimal digits"},
                                         Refused{"file:///a%2g", "two hexadecimal digits"},
                                         Refused{"file:///a%00", "control character"},
                                         Refused{"na me:tag", "name in the store"},
                                         Refused{"name:tag#x", "name in the store"}));

INSTANTIATE_TEST_SUITE_P(
    Pins,
    RefusedRef,
    testing::Values(Refused{"#sha256=" + hex(), "names nothing"},
                    Refused{"a#sha256=", "64 lower-case"},
                    Refused{"a#sha256=" + hex() + "0", "64 lower-case"},
                    Refused{"a#blake3=" + hex().substr(2), "64 lower-case"},
                    Refused{"a#sha256=" + hex().substr(1) + "F", "64 lower"},
                    Refused{"a#blake3=" + hex().substr(1) + "g", "64 lower"},
                    Refused{"a#sha256=" + hex() + "#sha256=" + hex(), "two pins"},
                    Refused{"a#sha256=" + hex() + "#blake3=" + hex(), "two pins"},
                    Refused{"http://h/#sha256=" + hex() + "#blake3=" + hex(), "two pins"},
                    Refused{"http://h/#", "not a pin"},
                    Refused{"http://h/#md5=00", "not a pin"},
                    Refused{"http://h/#SHA256=" + hex(), "not a pin"},
                    Refused{"a#b://c", "not a pin"},
                    Refused{"a#sha256=://c", "not a pin"}));

TEST(Ref, AtTheLengthLimitIsTaken) {
  EXPECT_TRUE(Ref::parse(std::string(8192, 'a')).ok());
}

TEST(Ref, KeepsItsPinApartByKind) {
  const auto sealed = Ref::parse("http://host/a/#sha256=" + hex());
  ASSERT_TRUE(sealed.ok());
  ASSERT_TRUE(sealed->pinned_sha256().has_value());
  EXPECT_EQ(sealed->pinned_sha256()->hex(), hex());
  EXPECT_FALSE(sealed->pinned_root().has_value());

  const auto single = Ref::parse("a.safetensors#blake3=" + hex());
  ASSERT_TRUE(single.ok());
  EXPECT_FALSE(single->pinned_sha256().has_value());
  ASSERT_TRUE(single->pinned_root().has_value());
  EXPECT_EQ(single->pinned_root()->hex(), hex());
}

TEST(Ref, NeverRepeatsACredentialInItsErrors) {
  for (const char* text : {"http://me:secret@/a", "hf://secret@org/name", "http://secret @host/"}) {
    const auto ref = Ref::parse(text);
    ASSERT_FALSE(ref.ok());
    EXPECT_EQ(ref.error().message().find("secret"), std::string::npos);
    EXPECT_EQ(ref.error().hint().find("secret"), std::string::npos);
  }
}

}  // namespace
}  // namespace weighbridge::model
