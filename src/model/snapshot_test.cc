#include "model/snapshot.h"

#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "hash/hash_tree.h"

namespace weighbridge::model {
namespace {

hash::Root root_of(std::string_view text) {
  return hash::hash_bytes(std::as_bytes(std::span(text)));
}

File file_of(std::string path, std::string_view text, bool executable = false) {
  File file;
  file.path = std::move(path);
  file.size = text.size();
  file.executable = executable;
  file.root = root_of(text);
  return file;
}

TEST(ContentId, IsBlake3OverOneRecordAFile) {
  const std::vector<File> files = {file_of("a", "one"), file_of("b/c", "three", true)};
  const std::string records = root_of("one").hex() + " 3 - a" + std::string(1, '\0') +
                              root_of("three").hex() + " 5 x b/c" + std::string(1, '\0');
  EXPECT_EQ(content_id(files), root_of(records));
}

TEST(ContentId, OfNoFilesIsTheHashOfNothing) {
  EXPECT_EQ(content_id({}), root_of(""));
}

TEST(ContentId, OfRecordsLongerThanAPieceIsTheSame) {
  std::vector<File> files;
  std::string records;
  for (int i = 0; i < 700; ++i) {
    files.push_back(file_of(std::string(4000, 'p') + std::to_string(1000 + i), "x"));
    records += root_of("x").hex() + " 1 - " + files.back().path + std::string(1, '\0');
  }
  ASSERT_GT(records.size(), 2 * hash::kPieceBytes);
  EXPECT_EQ(content_id(files), root_of(records));
}

TEST(ContentId, IsNothingUntilEveryRootIsKnown) {
  std::vector<File> files = {file_of("a", "one"), file_of("b", "two")};
  files[1].root.reset();
  EXPECT_EQ(content_id(files), std::nullopt);
}

TEST(Snapshot, FindsAFileByItsExactPath) {
  Snapshot snapshot;
  for (const char* path : {"Z", "a", "a/b", "b"}) {
    snapshot.files.push_back(file_of(path, path));
  }
  for (const File& file : snapshot.files) {
    EXPECT_EQ(snapshot.find(file.path), &file);
  }
  for (const char* absent : {"", "A", "a/", "a/bc", "c"}) {
    EXPECT_EQ(snapshot.find(absent), nullptr) << absent;
  }
  EXPECT_EQ(Snapshot().find("a"), nullptr);
}

TEST(File, IsProvedByTheBestDigestKnown) {
  File file;
  file.size = 3 * hash::kPieceBytes;
  EXPECT_EQ(file.method(), Method::kNothing);
  file.sha256.emplace();
  EXPECT_EQ(file.method(), Method::kSha256);
  file.root.emplace();
  EXPECT_EQ(file.method(), Method::kRoot);
  file.pieces.resize(3);
  EXPECT_EQ(file.method(), Method::kPieces);
}

TEST(File, OfOnePieceIsProvedAsAPieceByItsRoot) {
  File file;
  file.root.emplace();
  for (const std::uint64_t size : {std::uint64_t{0}, hash::kPieceBytes}) {
    file.size = size;
    EXPECT_EQ(file.method(), Method::kPieces);
  }
  file.size = hash::kPieceBytes + 1;
  EXPECT_EQ(file.method(), Method::kRoot);
}

TEST(SnapshotPath, IsRelativeAndPlain) {
  const std::string longest(4096, 'a');
  const std::string too_long(4097, 'a');
  const std::vector<std::pair<std::string, bool>> cases = {{"a", true},
                                                           {"a/b/c", true},
                                                           {".hidden", true},
                                                           {"a/...", true},
                                                           {"caf\xC3\xA9", true},
                                                           {"a b", true},
                                                           {"a:b#c?d", true},
                                                           {longest, true},
                                                           {"", false},
                                                           {"/a", false},
                                                           {"a/", false},
                                                           {"a//b", false},
                                                           {".", false},
                                                           {"..", false},
                                                           {"a/./b", false},
                                                           {"a/..", false},
                                                           {"../a", false},
                                                           {"a\\b", false},
                                                           {"a\nb", false},
                                                           {"\x7F", false},
                                                           {"a\xFF", false},
                                                           {"\xC2\x85", false},
                                                           {too_long, false},
                                                           {std::string("a\0", 2), false},
                                                           {"\xED\xA0\x80", false}};
  for (const auto& [path, wanted] : cases) {
    EXPECT_EQ(is_snapshot_path(path), wanted) << path;
  }
}

TEST(Trust, HasTheNamesThatJsonPromises) {
  EXPECT_EQ(name_of(Trust::kNone), "none");
  EXPECT_EQ(name_of(Trust::kFirstSeen), "first_seen");
  EXPECT_EQ(name_of(Trust::kOrigin), "origin");
  EXPECT_EQ(name_of(Trust::kPinned), "pinned");
}

}  // namespace
}  // namespace weighbridge::model
