#include "registry/digest.h"

#include <string>

#include <gtest/gtest.h>

#include "hash/hash_tree.h"
#include "hash/sha512.h"
#include "testing/memory_sink.h"

namespace weighbridge::registry {
namespace {

using base::Code;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST(Digest, OfTheThreeKnownAlgorithmsIsPrintedAsItWasRead) {
  for (const std::string& text : {"sha256:" + std::string(64, 'a'),
                                  "sha512:" + std::string(128, '0'),
                                  "blake3:" + std::string(64, 'f')}) {
    const auto digest = Digest::parse(text);
    ASSERT_TRUE(digest.ok()) << text;
    EXPECT_EQ(digest->text(), text);
    EXPECT_EQ(digest->hex(), text.substr(7));
  }
}

TEST(Digest, ThatIsMalformedIsInvalid) {
  for (const std::string& text : {std::string(),
                                  std::string("sha256"),
                                  std::string("sha256:"),
                                  "sha256:" + std::string(63, 'a'),
                                  "sha256:" + std::string(65, 'a'),
                                  "sha256:" + std::string(64, 'A'),
                                  "SHA256:" + std::string(64, 'a'),
                                  "sha512:" + std::string(64, 'a'),
                                  "sha256:" + std::string(63, 'a') + "g",
                                  "../x:" + std::string(64, 'a'),
                                  std::string("md5+:aa"),
                                  std::string(1000, 'a') + ":a"}) {
    const auto digest = Digest::parse(text);
    ASSERT_FALSE(digest.ok()) << text;
    EXPECT_EQ(digest.error().code(), Code::kInvalid) << text;
  }
}

TEST(Digest, OfAnotherAlgorithmIsUnsupported) {
  const auto digest =
      Digest::parse("multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8");
  ASSERT_FALSE(digest.ok());
  EXPECT_EQ(digest.error().code(), Code::kUnsupported);
}

TEST(Digest, GivesTheTypedDigestOfItsOwnAlgorithmOnly) {
  const Digest sha256 = Digest::of("abc");
  EXPECT_EQ(sha256.text(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_TRUE(sha256.sha256().has_value());
  EXPECT_FALSE(sha256.root().has_value());
  const hash::Root root = hash::hash_bytes(bytes_of("abc"));
  EXPECT_EQ(Digest(root).root(), root);
  EXPECT_FALSE(Digest(root).sha256().has_value());
}

TEST(Digester, AgreesWithTheWholeInAnyPartsForEveryAlgorithm) {
  for (const std::size_t size : {std::size_t{0},
                                 std::size_t{1},
                                 std::size_t{1024},
                                 std::size_t{1025},
                                 std::size_t{1} << 20,
                                 (std::size_t{1} << 20) + 1,
                                 (std::size_t{3} << 20) + 777}) {
    std::string text(size, 'x');
    for (std::size_t i = 0; i < size; i += 97) {
      text[i] = static_cast<char>(i % 251);
    }
    for (const std::size_t part : {std::size_t{1000}, std::size_t{1024}, std::size_t{100'003}}) {
      Digester sha256(Algorithm::kSha256);
      Digester sha512(Algorithm::kSha512);
      Digester blake3(Algorithm::kBlake3);
      for (std::size_t at = 0; at < size; at += part) {
        const auto bytes = bytes_of(text).subspan(at, std::min(part, size - at));
        sha256.update(bytes);
        sha512.update(bytes);
        blake3.update(bytes);
      }
      EXPECT_EQ(sha256.finish(), Digest::of(text));
      EXPECT_EQ(sha512.finish().hex(), hash::Sha512::of(bytes_of(text)).hex());
      EXPECT_EQ(blake3.finish(), Digest(hash::hash_bytes(bytes_of(text)))) << size;
    }
  }
}

TEST(DigestingSink, HandsEveryByteOnAndDigestsIt) {
  testing::MemorySink inner(100, 7);
  DigestingSink sink(Algorithm::kSha256, inner);
  const std::string text = "what lands is digested";
  for (std::size_t at = 0; at < text.size();) {
    const auto window = sink.window();
    const std::size_t bytes = std::min(window.size(), text.size() - at);
    std::copy_n(bytes_of(text).data() + at, bytes, window.data());
    ASSERT_TRUE(sink.landed(bytes).ok());
    at += bytes;
  }
  EXPECT_EQ(inner.bytes(), text);
  EXPECT_EQ(sink.bytes(), text.size());
  EXPECT_EQ(sink.finish(), Digest::of(text));
}

}  // namespace
}  // namespace weighbridge::registry
