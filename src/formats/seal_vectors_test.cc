#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/text.h"
#include "formats/seal.h"
#include "hash/hash_tree.h"
#include "hash/hint.h"
#include "hash/sha256.h"

// The vectors that tools/seal_vectors.py rebuilds from the documentation alone, built here by our
// own hashes and writer: the two must agree byte for byte.
namespace weighbridge::formats {
namespace {

using base::JsonDocument;
using base::JsonValue;
using base::Result;
using Bytes = std::vector<std::byte>;
using Members = std::map<std::string, JsonValue, std::less<>>;

Result<Members> members_of(JsonValue object) {
  Members members;
  TRY(object.each_member([&](std::string_view key, JsonValue value) -> Result<void> {
    members.emplace(key, value);
    return {};
  }));
  return members;
}

Result<void> append_part(Bytes& content, JsonValue part) {
  const Members members = TRY(members_of(part));
  if (const auto hex = members.find("hex"); hex != members.end()) {
    const std::string_view digits = TRY(hex->second.as_string());
    Bytes bytes(digits.size() / 2);
    EXPECT_TRUE(base::from_hex(digits, bytes));
    content.insert(content.end(), bytes.begin(), bytes.end());
    return {};
  }
  const std::uint64_t count = TRY(members.at("cycle").as_u64());
  for (std::uint64_t i = 0; i < count; ++i) {
    content.push_back(static_cast<std::byte>(i % 251));
  }
  return {};
}

void add_pieces(SealedFile& file, std::span<const std::byte> content) {
  file.root = hash::hash_bytes(content);
  hash::PieceHasher hasher;
  const std::uint64_t listed =
      content.size() > hash::kPieceBytes ? hash::piece_count(content.size()) : 0;
  for (std::uint64_t piece = 0; piece < listed; ++piece) {
    const base::Range range = hash::piece_range(piece, content.size());
    hasher.start(piece);
    hasher.update(content.subspan(range.begin, range.size()));
    file.pieces.push_back(hasher.finish_piece());
  }
}

Result<TensorHint> hint_of(JsonValue range, std::span<const std::byte> content) {
  std::vector<std::uint64_t> ends;
  TRY(range.each_element([&](JsonValue end) -> Result<void> {
    ends.push_back(TRY(end.as_u64()));
    return {};
  }));
  TensorHint hint{{ends.at(0), ends.at(1)}, {}};
  hash::HintHasher hasher;
  hasher.update(content.subspan(hint.bytes.begin, hint.bytes.size()));
  hint.hint = hasher.finish();
  return hint;
}

Result<SealedFile> file_of(JsonValue description) {
  const Members members = TRY(members_of(description));
  Bytes content;
  TRY(members.at("content").each_element(
      [&](JsonValue part) { return append_part(content, part); }));
  SealedFile file;
  file.path = TRY(members.at("path").as_string());
  file.executable = TRY(members.at("executable").as_bool());
  file.size = content.size();
  file.sha256 = hash::Sha256::of(content);
  add_pieces(file, content);
  TRY(members.at("hinted").each_element([&](JsonValue range) -> Result<void> {
    file.hints.push_back(TRY(hint_of(range, content)));
    return {};
  }));
  return file;
}

Result<void> check_vector(JsonValue vector) {
  const Members members = TRY(members_of(vector));
  SCOPED_TRACE(TRY(members.at("name").as_string()));
  Seal seal;
  TRY(members.at("files").each_element([&](JsonValue description) -> Result<void> {
    seal.files.push_back(TRY(file_of(description)));
    return {};
  }));
  const Bytes text = TRY(write_seal(seal));
  const auto digest = hash::Sha256::of(text);
  EXPECT_EQ(base::to_hex(text), TRY(members.at("seal").as_string()));
  EXPECT_EQ(digest.hex(), TRY(members.at("seal_sha256").as_string()));
  const model::Snapshot snapshot =
      snapshot_of(TRY(parse_seal(text)), "./model", digest, model::Trust::kPinned);
  EXPECT_EQ(snapshot.content_id->hex(), TRY(members.at("content_id").as_string()));
  return {};
}

TEST(SealVectors, AreBuiltByteForByteByOurWriterToo) {
  std::ifstream stream(WB_SOURCE_DIR "/docs/formats/seal-vectors.json", std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(stream), {});
  const auto document = JsonDocument::parse(text);
  ASSERT_TRUE(document.ok()) << document.error().message();
  const auto members = members_of(document->root());
  ASSERT_TRUE(members.ok());
  int checked = 0;
  const auto all = members->at("vectors").each_element([&](JsonValue vector) {
    ++checked;
    return check_vector(vector);
  });
  EXPECT_TRUE(all.ok()) << all.error().message();
  EXPECT_GE(checked, 10);
}

}  // namespace
}  // namespace weighbridge::formats
