#include "index/index.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/seal.h"
#include "formats/testing/safetensors_writer.h"
#include "sources/testing/fake_source.h"
#include "testing/manual_clock.h"
#include "transfer/resolve.h"

namespace weighbridge::index {
namespace {

using base::Code;
using base::Result;
using formats::testing::make_safetensors;
using sources::testing::FakeSource;
using sources::testing::sealed_file;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::byte> text(std::string_view words) {
  const auto bytes = std::as_bytes(std::span(words));
  return {bytes.begin(), bytes.end()};
}

class IndexTest : public ::testing::Test {
 protected:
  // A Snapshot that a seal of all files of the source would give.
  void seal() {
    snapshot_.listed = true;
    snapshot_.seal_sha256.emplace();
    for (const auto& [path, bytes] : source_.files) {
      snapshot_.files.push_back(sealed_file(path, bytes, model::Trust::kOrigin));
    }
  }

  // A directory that is listed, without digests.
  void list() {
    seal();
    snapshot_.seal_sha256.reset();
    for (model::File& file : snapshot_.files) {
      file = {file.path, file.size, false, {}, {}, {}, model::Trust::kNone, {}};
    }
  }

  Result<Index> open() { return Index::open(call_, transfer_, source_, snapshot_); }

  static std::vector<std::string> paths(const Index& index) {
    std::vector<std::string> paths;
    for (const IndexedFile& file : index.files()) {
      paths.push_back(index.snapshot().files[file.file].path);
    }
    return paths;
  }

  // Two shards and the index that names them.
  void add_shards() {
    source_.files["s-1.safetensors"] = make_safetensors({{"a", 100}, {"b", 200}});
    source_.files["s-2.safetensors"] = make_safetensors({{"c", 300}});
    source_.files["other.safetensors"] = make_safetensors({{"z", 1}});
    set_index(
        R"({"weight_map":{"a":"s-1.safetensors","b":"s-1.safetensors","c":"s-2.safetensors"}})");
  }

  void set_index(std::string_view json) {
    source_.files["model.safetensors.index.json"] = text(json);
  }

  testing::ManualClock clock_{testing::ManualClock::Waits::kJumpToTheirEnd};
  base::Call call_{clock_};
  FakeSource source_;
  model::Snapshot snapshot_;
  transfer::FirstSeen first_seen_;
  transfer::Transfer transfer_{first_seen_, 1};
};

TEST_F(IndexTest, shards_are_those_the_index_names_and_others_stay_unread) {
  add_shards();
  seal();
  const auto index = open();
  ASSERT_TRUE(index.ok()) << index.error().message();
  EXPECT_THAT(paths(*index), ElementsAre("s-1.safetensors", "s-2.safetensors"));
  EXPECT_EQ(index->tensor_count(), 3U);
  for (const auto& read : source_.reads()) {
    EXPECT_NE(read.path, "other.safetensors");
  }
  EXPECT_EQ(source_.reads().size(), 3U) << "one request for the index and one a shard";
}

TEST_F(IndexTest, without_an_index_the_single_name_is_taken) {
  source_.files["model.safetensors"] = make_safetensors({{"a", 10}});
  source_.files["other.safetensors"] = make_safetensors({{"b", 10}});
  seal();
  const auto index = open();
  ASSERT_TRUE(index.ok());
  EXPECT_THAT(paths(*index), ElementsAre("model.safetensors"));
}

TEST_F(IndexTest, else_all_files_of_the_root_make_one_model) {
  source_.files["x.safetensors"] = make_safetensors({{"a", 10}});
  source_.files["y.safetensors"] = make_safetensors({{"b", 10}});
  source_.files["deeper/z.safetensors"] = make_safetensors({{"b", 10}});
  list();
  const auto index = open();
  ASSERT_TRUE(index.ok());
  EXPECT_THAT(paths(*index), ElementsAre("x.safetensors", "y.safetensors"));
}

TEST_F(IndexTest, two_models_side_by_side_are_refused_and_listed) {
  source_.files["x.safetensors"] = make_safetensors({{"a", 10}});
  source_.files["y.safetensors"] = make_safetensors({{"a", 10}});
  list();
  const auto index = open();
  ASSERT_FALSE(index.ok());
  EXPECT_EQ(index.error().code(), Code::kInvalid);
  EXPECT_THAT(index.error().message(),
              AllOf(HasSubstr("'a'"), HasSubstr("x.safetensors, y.safetensors")));
}

TEST_F(IndexTest, a_place_without_tensors_says_what_was_looked_for_and_what_lies_deeper) {
  source_.files["deeper/z.safetensors"] = make_safetensors({{"b", 10}});
  list();
  const auto index = open();
  ASSERT_FALSE(index.ok());
  EXPECT_EQ(index.error().code(), Code::kNotFound);
  EXPECT_THAT(index.error().message(), HasSubstr("deeper/z.safetensors"));
}

TEST_F(IndexTest, where_files_cannot_be_listed_the_usual_names_are_tried) {
  add_shards();
  source_.can_list = false;
  const auto index = open();
  ASSERT_TRUE(index.ok()) << index.error().message();
  EXPECT_THAT(paths(*index), ElementsAre("s-1.safetensors", "s-2.safetensors"));
  EXPECT_EQ(index->snapshot().files.size(), 3U);
}

TEST_F(IndexTest, where_files_cannot_be_listed_and_nothing_is_found_says_so) {
  source_.can_list = false;
  const auto index = open();
  ASSERT_FALSE(index.ok());
  EXPECT_EQ(index.error().code(), Code::kNotFound);
  EXPECT_THAT(index.error().message(), HasSubstr("cannot be listed"));
}

TEST_F(IndexTest, a_shard_that_the_seal_omits_is_an_error) {
  add_shards();
  seal();
  std::erase_if(snapshot_.files, [](const auto& file) { return file.path == "s-2.safetensors"; });
  const auto index = open();
  ASSERT_FALSE(index.ok());
  EXPECT_EQ(index.error().code(), Code::kNotFound);
  EXPECT_THAT(index.error().message(),
              AllOf(HasSubstr("s-2.safetensors"), HasSubstr("not in the seal")));
}

TEST_F(IndexTest, a_tensor_the_index_does_not_list_is_an_error) {
  add_shards();
  set_index(R"({"weight_map":{"a":"s-1.safetensors","c":"s-2.safetensors"}})");
  seal();
  const auto index = open();
  ASSERT_FALSE(index.ok());
  EXPECT_EQ(index.error().code(), Code::kCorrupt);
  EXPECT_THAT(index.error().message(), AllOf(HasSubstr("'b'"), HasSubstr("does not list")));
}

TEST_F(IndexTest, a_tensor_in_another_file_than_the_index_says_is_an_error) {
  add_shards();
  set_index(
      R"({"weight_map":{"a":"s-1.safetensors","b":"s-2.safetensors","c":"s-2.safetensors"}})");
  seal();
  const auto index = open();
  ASSERT_FALSE(index.ok());
  EXPECT_THAT(index.error().message(), AllOf(HasSubstr("'b'"), HasSubstr("puts in")));
}

TEST_F(IndexTest, a_tensor_that_only_the_index_knows_is_an_error) {
  add_shards();
  set_index(
      R"({"weight_map":{"a":"s-1.safetensors","b":"s-1.safetensors","c":"s-2.safetensors","d":"s-2.safetensors"}})");
  seal();
  const auto index = open();
  ASSERT_FALSE(index.ok());
  EXPECT_THAT(index.error().message(), AllOf(HasSubstr("'d'"), HasSubstr("does not hold it")));
}

TEST_F(IndexTest, a_header_longer_than_a_piece_is_read_in_a_second_look) {
  source_.files["model.safetensors"] = make_safetensors({{"a", 10}}, 3'000'000);
  seal();
  const auto index = open();
  ASSERT_TRUE(index.ok()) << index.error().message();
  EXPECT_EQ(index->files()[0].table.tensors.size(), 1U);
  EXPECT_EQ(source_.reads().size(), 2U);
}

TEST_F(IndexTest, a_malformed_header_names_its_file) {
  source_.files["model.safetensors"] = text("nonsense that is long enough");
  seal();
  const auto index = open();
  ASSERT_FALSE(index.ok());
  EXPECT_EQ(index.error().code(), Code::kCorrupt);
  EXPECT_EQ(index.error().file(), "fake://model.safetensors");
}

TEST_F(IndexTest, what_only_a_whole_file_digest_proves_is_not_yet_proved) {
  source_.files["model.safetensors"] = make_safetensors({{"a", 3'000'000}});
  source_.single = "model.safetensors";
  seal();
  snapshot_.files[0].root.reset();
  snapshot_.files[0].pieces.clear();
  const auto index = open();
  ASSERT_TRUE(index.ok()) << index.error().message();
  EXPECT_EQ(index->files()[0].proof.trust, model::Trust::kNone);
}

TEST_F(IndexTest, proving_a_file_as_a_whole_holds_it_to_the_header_that_was_shown) {
  source_.files["model.safetensors"] = make_safetensors({{"a", 3'000'000}});
  source_.single = "model.safetensors";
  seal();
  snapshot_.files[0].root.reset();
  snapshot_.files[0].pieces.clear();
  source_.fault = [](const FakeSource::Read& read) {
    FakeSource::Fault fault;
    if (read.number == 0) {
      fault.flip = 10;  // the name "a" becomes another one; the header stays well-formed
    }
    return fault;
  };
  transfer::Progress progress;
  auto hurt = open();
  ASSERT_TRUE(hurt.ok()) << hurt.error().message();
  const auto refused = hurt->prove(call_, transfer_, source_, progress);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::kCorrupt);
  auto index = open();
  ASSERT_TRUE(index.ok());
  ASSERT_TRUE(index->prove(call_, transfer_, source_, progress).ok());
  EXPECT_EQ(index->files()[0].proof.method, model::Method::kSha256);
}

}  // namespace
}  // namespace weighbridge::index
