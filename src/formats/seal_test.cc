#include "formats/seal.h"

#include <algorithm>
#include <random>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "base/units.h"
#include "hash/hash_tree.h"
#include "hash/sha256.h"

namespace weighbridge::formats {
namespace {

using base::Code;
using base::kMiB;
using Text = std::vector<std::byte>;

constexpr std::size_t kVersionAt = 8;
constexpr std::size_t kCountAt = 12;
constexpr std::size_t kFirstFileAt = 16;

template <typename Digest>
Digest random_digest(std::mt19937_64& random) {
  Digest digest;
  for (std::byte& byte : digest.bytes) {
    byte = static_cast<std::byte>(random());
  }
  return digest;
}

// A file of bytes nobody has: its pieces are random, its root is what they merge to.
SealedFile made_up_file(std::string path, std::uint64_t size, std::uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  SealedFile file;
  file.path = std::move(path);
  file.size = size;
  file.sha256 = random_digest<hash::Sha256Digest>(random);
  file.root = random_digest<hash::Root>(random);
  if (size > hash::kPieceBytes) {
    for (std::uint64_t piece = 0; piece < hash::piece_count(size); ++piece) {
      file.pieces.push_back(random_digest<hash::ChainingValue>(random));
    }
    file.root = hash::merge_pieces(file.pieces);
  }
  return file;
}

TensorHint hint_at(std::uint64_t begin, std::uint64_t end) {
  return {{begin, end}, {}};
}

Seal sample() {
  Seal seal;
  seal.files.push_back(made_up_file("config.json", 700));
  seal.files.push_back(made_up_file("model.safetensors", 5 * kMiB + 17));
  seal.files.push_back(made_up_file("run.sh", 0));
  seal.files[1].hints = {hint_at(1000, 1000 + kMiB),
                         hint_at(1000 + kMiB, 1000 + 3 * kMiB),
                         hint_at(4 * kMiB, 5 * kMiB + 17)};
  seal.files[2].executable = true;
  return seal;
}

// The seal of files with no content under these names, whatever the names.
Seal with_paths(const std::vector<std::string>& paths) {
  Seal seal;
  for (const std::string& path : paths) {
    seal.files.push_back(made_up_file(path, 0));
  }
  return seal;
}

Text written(const Seal& seal) {
  auto text = write_seal(seal);
  EXPECT_TRUE(text.ok()) << text.error().message();
  return std::move(text).value();
}

// With a closing digest that is right for what stands before it.
Text resealed(Text text) {
  const auto body = std::span(text).first(text.size() - 32);
  std::ranges::copy(hash::Sha256::of(body).bytes, text.end() - 32);
  return text;
}

// The text with `count` bytes at `at` replaced, closed anew.
Text changed(Text text, std::size_t at, std::size_t count, std::vector<unsigned char> by) {
  const auto from = text.begin() + static_cast<std::ptrdiff_t>(at);
  const auto next = text.erase(from, from + static_cast<std::ptrdiff_t>(count));
  const auto bytes = std::as_bytes(std::span(by));
  text.insert(next, bytes.begin(), bytes.end());
  return resealed(std::move(text));
}

void expect_refused(std::span<const std::byte> text, Code code, std::string_view reason) {
  const auto seal = parse_seal(text);
  ASSERT_FALSE(seal.ok()) << reason;
  EXPECT_EQ(seal.error().code(), code);
  EXPECT_NE(seal.error().message().find(reason), std::string::npos) << seal.error().message();
  if (code == Code::kCorrupt) {
    EXPECT_TRUE(seal.error().offset().has_value());
  }
}

void expect_unwritable(const Seal& seal, std::string_view reason) {
  const auto text = write_seal(seal);
  ASSERT_FALSE(text.ok()) << reason;
  EXPECT_EQ(text.error().code(), Code::kInvalid);
  EXPECT_NE(text.error().message().find(reason), std::string::npos) << text.error().message();
}

TEST(Seal, ReadsBackWhatWasWritten) {
  const Seal seal = sample();
  const auto read = parse_seal(written(seal));
  ASSERT_TRUE(read.ok()) << read.error().message();
  ASSERT_EQ(read->files.size(), seal.files.size());
  for (std::size_t i = 0; i < seal.files.size(); ++i) {
    const SealedFile& wanted = seal.files[i];
    const SealedFile& found = read->files[i];
    EXPECT_EQ(found.path, wanted.path);
    EXPECT_EQ(found.size, wanted.size);
    EXPECT_EQ(found.executable, wanted.executable);
    EXPECT_EQ(found.sha256, wanted.sha256);
    EXPECT_EQ(found.root, wanted.root);
    EXPECT_EQ(found.pieces, wanted.pieces);
    EXPECT_TRUE(std::ranges::equal(found.hints, wanted.hints, [](const auto& a, const auto& b) {
      return a.bytes == b.bytes && a.hint == b.hint;
    }));
  }
}

TEST(Seal, HasOneTextForWhatItSays) {
  const Text text = written(sample());
  EXPECT_EQ(written(parse_seal(text).value()), text);
  EXPECT_EQ(written(parse_seal(written(Seal())).value()), written(Seal()));
}

TEST(Seal, IsRefusedWhenItIsNoSeal) {
  expect_refused({}, Code::kCorrupt, "not a seal");
  const std::string page =
      "<!DOCTYPE html><title>Sign in to continue</title>" + std::string(99, ' ');
  expect_refused(std::as_bytes(std::span(page)), Code::kCorrupt, "not a seal");
}

TEST(Seal, IsRefusedWithAnyBitFlipped) {
  const Text text = written(sample());
  for (std::size_t bit = 0; bit < text.size() * 8; ++bit) {
    Text flipped = text;
    flipped[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    const auto seal = parse_seal(flipped);
    ASSERT_FALSE(seal.ok()) << bit;
    EXPECT_EQ(seal.error().code(), Code::kCorrupt);
  }
}

TEST(Seal, IsRefusedWhenCutAnywhere) {
  const Text text = written(sample());
  for (std::size_t size = 0; size < text.size(); ++size) {
    ASSERT_FALSE(parse_seal(std::span(text).first(size)).ok()) << size;
  }
}

TEST(Seal, IsRefusedWhenItsRecordsEndEarlyThoughItsDigestIsRight) {
  const Text text = written(sample());
  for (std::size_t size = 48; size < text.size(); ++size) {
    const auto seal =
        parse_seal(resealed(Text(text.begin(), text.begin() + static_cast<long>(size))));
    ASSERT_FALSE(seal.ok()) << size;
    EXPECT_EQ(seal.error().code(), Code::kCorrupt);
  }
}

TEST(Seal, SaysThatItWasDamagedOnItsWay) {
  Text text = written(sample());
  text[100] ^= std::byte{1};
  expect_refused(text, Code::kCorrupt, "damaged on its way");
}

TEST(Seal, OfANewerVersionAsksForAnUpgrade) {
  const Text text = changed(written(sample()), kVersionAt, 1, {2});
  expect_refused(text, Code::kUnsupported, "version 2");
  EXPECT_NE(parse_seal(text).error().hint().find("Upgrade"), std::string::npos);
  expect_refused(changed(written(sample()), kVersionAt, 1, {0}), Code::kCorrupt, "version 0");
}

TEST(Seal, IsRefusedWithMoreFilesThanItsBytesCanHold) {
  const Text text = written(sample());
  expect_refused(
      changed(text, kCountAt, 4, {0x40, 0x42, 0x0F, 0}), Code::kCorrupt, "1000000 files");
  expect_refused(changed(text, kCountAt, 4, {0x41, 0x42, 0x0F, 0}), Code::kCorrupt, "more than");
  expect_refused(changed(text, kCountAt, 4, {255, 255, 255, 255}), Code::kCorrupt, "more than");
}

TEST(Seal, IsRefusedWithBytesAfterItsLastFile) {
  const Text text = written(sample());
  expect_refused(changed(text, text.size() - 32, 0, {0}), Code::kCorrupt, "1 bytes follow");
  expect_refused(changed(text, kCountAt, 1, {2}), Code::kCorrupt, "follow the last file");
}

TEST(Seal, IsRefusedWhenItIsTooLong) {
  // Never read: the length alone refuses it.
  const std::byte nothing{};
  expect_refused(std::span(&nothing, kMaxSealBytes + 1), Code::kCorrupt, "at most 2000000000");
}

// The record of one empty file: 1 + 1 bytes of path, flags, size, digests, number of hints.
class OneFileSeal : public testing::Test {
 protected:
  static constexpr std::size_t kPathAt = kFirstFileAt;
  static constexpr std::size_t kFlagsAt = kPathAt + 2;
  static constexpr std::size_t kSizeAt = kFlagsAt + 1;
  static constexpr std::size_t kHintsAt = kSizeAt + 1 + 64;

  const Text text_ = written(with_paths({"a"}));
};

TEST_F(OneFileSeal, IsRefusedWithANumberThatIsNotShortest) {
  constexpr std::string_view kReason = "shortest form";
  expect_refused(changed(text_, kPathAt, 1, {0x81, 0}), Code::kCorrupt, kReason);
  expect_refused(changed(text_, kSizeAt, 1, {0x80, 0}), Code::kCorrupt, kReason);
  expect_refused(changed(text_, kHintsAt, 1, {0x80, 0x80, 0}), Code::kCorrupt, kReason);
  const std::vector<unsigned char> past_64_bits = {255, 255, 255, 255, 255, 255, 255, 255, 255, 2};
  expect_refused(changed(text_, kSizeAt, 1, past_64_bits), Code::kCorrupt, kReason);
  const std::vector<unsigned char> endless(11, 0x80);
  expect_refused(changed(text_, kSizeAt, 1, endless), Code::kCorrupt, kReason);
}

TEST_F(OneFileSeal, IsRefusedWithAFlagNobodyKnows) {
  expect_refused(changed(text_, kFlagsAt, 1, {2}), Code::kCorrupt, "flag");
  expect_refused(changed(text_, kFlagsAt, 1, {0x81}), Code::kCorrupt, "flag");
}

TEST_F(OneFileSeal, IsRefusedWhenItsSizeAsksForPiecesThatAreNotThere) {
  const std::vector<unsigned char> most = {255, 255, 255, 255, 255, 255, 255, 255, 255, 1};
  expect_refused(changed(text_, kSizeAt, 1, most), Code::kCorrupt, "17592186044416 pieces");
  expect_refused(changed(text_, kSizeAt, 1, {0x81, 0x80, 0x40}), Code::kCorrupt, "2 pieces");
}

TEST_F(OneFileSeal, IsRefusedWhenItPromisesHintsThatAreNotThere) {
  const std::vector<unsigned char> most = {255, 255, 255, 255, 255, 255, 255, 255, 255, 1};
  expect_refused(changed(text_, kHintsAt, 1, most), Code::kCorrupt, "hints");
}

TEST_F(OneFileSeal, IsRefusedWithAPathPastTheLimit) {
  expect_refused(changed(text_, kPathAt, 1, {0x81, 0x20}), Code::kCorrupt, "4097 bytes");
  const Text longer = changed(text_, kSizeAt, 1, {0x80, 1});
  expect_refused(changed(longer, kPathAt, 2, {0}), Code::kCorrupt, "is not a path");
}

TEST(Seal, IsRefusedWhenAHintEndsPast64Bits) {
  Seal seal = with_paths({"a"});
  seal.files[0] = made_up_file("a", 2 * kMiB);
  seal.files[0].hints = {hint_at(0, kMiB)};
  const Text text = written(seal);
  const std::size_t gap_at = text.size() - 32 - 16 - 3 - 1;
  const std::vector<unsigned char> most = {255, 255, 255, 255, 255, 255, 255, 255, 255, 1};
  expect_refused(changed(text, gap_at, 1, most), Code::kCorrupt, "past 2^64");
}

TEST(Seal, IsRefusedWhenItsPiecesDoNotMergeToTheRootAndNamesTheFile) {
  Seal seal = sample();
  const Text text = written(seal);
  const auto& piece = seal.files[1].pieces[2].bytes;
  const auto found =
      std::search(text.begin(), text.end(), piece.begin(), piece.end()) - text.begin();
  expect_refused(changed(text, static_cast<std::size_t>(found), 1, {0}),
                 Code::kCorrupt,
                 "\"model.safetensors\" lists pieces that do not merge");
  seal.files[1].pieces[2].bytes[0] ^= std::byte{1};
  expect_unwritable(seal, "\"model.safetensors\" lists pieces that do not merge");
}

TEST(Seal, ListsAPieceForEachMiBOfALongFileAndNoneOfAShortOne) {
  Seal seal = sample();
  seal.files[1].pieces.pop_back();
  expect_unwritable(seal, "lists 5 pieces");
  seal = sample();
  seal.files[0].pieces.resize(1);
  expect_unwritable(seal, "lists 1 pieces");
  EXPECT_TRUE(parse_seal(written(Seal{{made_up_file("a", kMiB)}})).ok());
  EXPECT_TRUE(parse_seal(written(Seal{{made_up_file("a", kMiB + 1)}})).ok());
}

TEST(Seal, TakesHintsInOrderInsideTheFileOnly) {
  const std::vector<std::pair<std::vector<TensorHint>, std::string>> cases = {
      {{hint_at(0, kMiB - 1)}, "fewer than"},
      {{hint_at(5 * kMiB, 4 * kMiB)}, "out of order"},
      {{hint_at(kMiB, 2 * kMiB), hint_at(0, kMiB)}, "out of order"},
      {{hint_at(0, 2 * kMiB), hint_at(2 * kMiB - 1, 4 * kMiB)}, "out of order"},
      {{hint_at(4 * kMiB, 5 * kMiB + 18)}, "past its end"}};
  for (const auto& [hints, reason] : cases) {
    Seal seal = sample();
    seal.files[1].hints = hints;
    expect_unwritable(seal, reason);
  }
}

// Puts `paths` where the seal of as many one-letter names had its own, so that the reader sees
// what the writer refuses.
Text forged(const std::vector<std::string>& paths) {
  std::vector<std::string> plain(paths.size());
  for (std::size_t i = 0; i < paths.size(); ++i) {
    plain[i] = std::string(1, static_cast<char>('a' + i));
  }
  Text text = written(with_paths(plain));
  std::size_t at = kFirstFileAt;
  for (const std::string& path : paths) {
    std::vector<unsigned char> record(path.begin(), path.end());
    record.insert(record.begin(), static_cast<unsigned char>(path.size()));
    text = changed(std::move(text), at, 2, record);
    at += record.size() + 67;
  }
  return text;
}

TEST(Seal, RefusesPathsThatDoNotFitTogetherOrMayNotStand) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"b", "a"}, "out of order"},
      {{"a", "a"}, "stands twice"},
      {{"a/b", "a-b"}, "out of order"},
      {{"a", "a/b"}, "lies below \"a\""},
      {{"a", "a-b", "a/b"}, "lies below \"a\""},
      {{"a", "a-", "a-/b"}, "lies below \"a-\""},
      {{"a", "a!", "a!!", "a-b", "a.b/c", "a/b/c"}, "lies below \"a\""},
      {{"../a"}, "is not a path"},
      {{"/a"}, "is not a path"},
      {{"a\\b"}, "is not a path"},
      {{"a\xFF"}, "is not a path"},
      {{"a\nb"}, "is not a path"},
      {{".git/config"}, "never part"},
      {{"weighbridge.seal"}, "never part"}};
  for (const auto& [paths, reason] : cases) {
    expect_unwritable(with_paths(paths), reason);
    expect_refused(forged(paths), Code::kCorrupt, reason);
  }
}

TEST(Seal, TakesPathsInByteOrderWhateverTheirParts) {
  const std::vector<std::string> paths = {".hidden",
                                          "A",
                                          "a",
                                          "a!",
                                          "a!!",
                                          "a-b",
                                          "ab",
                                          "ab-/c",
                                          "b/a",
                                          "b/weighbridge.seal",
                                          "\xC3\xA9"};
  EXPECT_TRUE(parse_seal(written(with_paths(paths))).ok());
  EXPECT_EQ(forged(paths), written(with_paths(paths)));
}

TEST(Seal, HoldsAtMostAMillionFiles) {
  Seal seal;
  seal.files.resize(kMaxSealFiles + 1);
  expect_unwritable(seal, "at most 1000000 files");
}

TEST(Seal, OfATerabyteInTensorsOf8MiBHasAtMost36MB) {
  constexpr std::uint64_t kFiles = 100;
  constexpr std::uint64_t kFileBytes = 10'000'000'000;
  Seal seal;
  for (std::uint64_t i = 0; i < kFiles; ++i) {
    SealedFile& file = seal.files.emplace_back(
        made_up_file("model-" + std::to_string(100 + i) + ".safetensors", kFileBytes, i));
    for (std::uint64_t at = 5000; at + 8 * kMiB <= kFileBytes; at += 8 * kMiB) {
      file.hints.push_back(hint_at(at, at + 8 * kMiB));
    }
  }
  const Text text = written(seal);
  EXPECT_LE(text.size(), 36'000'000U);
  EXPECT_TRUE(parse_seal(text).ok());
}

TEST(Seal, GivesASnapshotWithEveryDigestInPlace) {
  const Seal seal = sample();
  const auto digest = hash::Sha256::of(written(seal));
  const model::Snapshot snapshot =
      snapshot_of(seal, "http://host/model/", digest, model::Trust::kOrigin);
  EXPECT_EQ(snapshot.origin, "http://host/model/");
  EXPECT_TRUE(snapshot.listed);
  EXPECT_EQ(snapshot.seal_sha256, digest);
  ASSERT_EQ(snapshot.files.size(), 3U);
  EXPECT_EQ(snapshot.content_id, model::content_id(snapshot.files));
  for (std::size_t i = 0; i < 3; ++i) {
    const model::File& file = snapshot.files[i];
    EXPECT_EQ(file.path, seal.files[i].path);
    EXPECT_EQ(file.size, seal.files[i].size);
    EXPECT_EQ(file.executable, seal.files[i].executable);
    EXPECT_EQ(file.sha256, seal.files[i].sha256);
    EXPECT_EQ(file.root, seal.files[i].root);
    EXPECT_EQ(file.pieces, seal.files[i].pieces);
    EXPECT_EQ(file.trust, model::Trust::kOrigin);
    EXPECT_EQ(file.method(), model::Method::kPieces);
  }
}

TEST(Sealable, IsEverythingButOurOwnFilesAndVersionControl) {
  const std::vector<std::pair<std::string, bool>> cases = {{"model.safetensors", true},
                                                           {".hidden", true},
                                                           {".gitattributes", true},
                                                           {".github/a", true},
                                                           {"a/.gitignore", true},
                                                           {"cache/a", true},
                                                           {".cached", true},
                                                           {"weighbridge.seal.old", true},
                                                           {"a/weighbridge.seal", true},
                                                           {"a.weighbridge", true},
                                                           {"git", true},
                                                           {".git", false},
                                                           {".git/config", false},
                                                           {"a/.git/config", false},
                                                           {"a/.git", false},
                                                           {".cache", false},
                                                           {".cache/huggingface/a", false},
                                                           {"a/.cache/b", false},
                                                           {".weighbridge", false},
                                                           {".weighbridge-1234.tmp", false},
                                                           {"a/.weighbridge/b", false},
                                                           {".weighbridge.lock/a", false},
                                                           {"weighbridge.seal", false}};
  for (const auto& [path, wanted] : cases) {
    EXPECT_EQ(is_sealable(path), wanted) << path;
  }
}

}  // namespace
}  // namespace weighbridge::formats
