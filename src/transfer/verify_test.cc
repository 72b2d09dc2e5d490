#include "transfer/verify.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hash/hash_tree.h"
#include "sources/testing/fake_source.h"
#include "testing/manual_clock.h"

namespace weighbridge::transfer {
namespace {

using base::Code;
using base::Result;
using model::Trust;
using sources::testing::Bytes;
using sources::testing::FakeSource;
using sources::testing::random_bytes;
using sources::testing::sealed_file;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class VerifyTest : public ::testing::Test {
 protected:
  VerifyTest() {
    snapshot_.listed = true;
    snapshot_.origin = "fake://";
    for (const std::string path : {"a", "b", "c"}) {
      Bytes bytes = random_bytes(3'000'000, path.size() + snapshot_.files.size());
      snapshot_.files.push_back(sealed_file(path, bytes, Trust::kOrigin));
      source_.files[path] = std::move(bytes);
    }
  }

  Result<Verification> run() { return verify(call_, source_, snapshot_, transfer_, progress_); }

  std::vector<std::string> failed() {
    const auto verification = run();
    EXPECT_TRUE(verification.ok());
    std::vector<std::string> paths;
    for (const auto& failure : verification->failed) {
      EXPECT_FALSE(failure.error.message().empty());
      EXPECT_THAT(failure.error.file().value_or(""), HasSubstr(failure.path));
      paths.push_back(failure.path);
    }
    return paths;
  }

  const testing::ManualClock clock_{testing::ManualClock::Waits::kJumpToTheirEnd};
  const base::Call call_{clock_};
  FakeSource source_;
  FirstSeen first_seen_;
  Transfer transfer_{first_seen_, 1};
  Progress progress_;
  model::Snapshot snapshot_;
};

TEST_F(VerifyTest, what_is_as_sealed_passes_and_is_counted) {
  const auto verification = run();
  ASSERT_TRUE(verification.ok()) << verification.error().message();
  EXPECT_EQ(verification->files, 3U);
  EXPECT_EQ(verification->bytes, 9'000'000U);
  EXPECT_THAT(verification->failed, IsEmpty());
  EXPECT_THAT(verification->unlisted, IsEmpty());
  EXPECT_EQ(source_.delivered_bytes(), 9'000'000U);
}

TEST_F(VerifyTest, a_changed_byte_in_any_place_fails_its_file) {
  for (const std::size_t offset : {0U, 1'048'576U, 2'999'999U}) {
    source_.files["b"][offset] ^= std::byte{1};
    EXPECT_THAT(failed(), ElementsAre("b")) << offset;
    source_.files["b"][offset] ^= std::byte{1};
  }
}

TEST_F(VerifyTest, every_file_that_fails_is_named_in_order_of_paths) {
  source_.files["c"].back() ^= std::byte{1};
  source_.files.erase("a");
  EXPECT_THAT(failed(), ElementsAre("a", "c"));
}

TEST_F(VerifyTest, a_missing_file_is_not_found) {
  source_.files.erase("b");
  EXPECT_EQ(run()->failed.at(0).error.code(), Code::kNotFound);
}

TEST_F(VerifyTest, only_bytes_that_were_read_are_counted) {
  source_.files.erase("b");
  EXPECT_EQ(run()->bytes, 6'000'000U);
  source_.files.clear();
  EXPECT_EQ(run()->bytes, 0U);
}

TEST_F(VerifyTest, a_file_cut_short_fails) {
  source_.files["b"].resize(2'000'000);
  EXPECT_THAT(failed(), ElementsAre("b"));
}

TEST_F(VerifyTest, another_executable_bit_fails_its_file_where_files_can_be_listed) {
  snapshot_.files[1].executable = true;
  source_.files["c"].back() ^= std::byte{1};
  const auto verification = run();
  ASSERT_TRUE(verification.ok());
  ASSERT_EQ(verification->failed.size(), 2U);
  EXPECT_EQ(verification->failed[0].path, "b");
  EXPECT_EQ(verification->failed[0].error.code(), Code::kCorrupt);
  EXPECT_EQ(verification->failed[0].error.message(),
            "the executable bit is not set, the seal says set");
  EXPECT_EQ(verification->failed[1].path, "c");
  source_.can_list = false;
  EXPECT_THAT(failed(), ElementsAre("c"));
}

TEST_F(VerifyTest, a_file_whose_bytes_fail_is_named_once_whatever_its_executable_bit) {
  snapshot_.files[1].executable = true;
  source_.files["b"].back() ^= std::byte{1};
  EXPECT_THAT(failed(), ElementsAre("b"));
}

TEST_F(VerifyTest, files_the_seal_does_not_list_are_named) {
  source_.files["new"] = random_bytes(5, 1);
  source_.files["another"] = random_bytes(5, 1);
  EXPECT_THAT(run()->unlisted, ElementsAre("another", "new"));
}

TEST_F(VerifyTest, where_files_cannot_be_listed_none_is_called_unlisted) {
  source_.files["new"] = random_bytes(5, 1);
  source_.can_list = false;
  EXPECT_THAT(run()->unlisted, IsEmpty());
}

TEST_F(VerifyTest, beside_a_file_named_alone_nothing_is_unlisted) {
  source_.single = "a";
  snapshot_.files.resize(1);
  EXPECT_THAT(run()->unlisted, IsEmpty());
}

TEST_F(VerifyTest, a_file_known_by_its_sha256_or_its_root_alone_is_verified_too) {
  snapshot_.files[0].pieces.clear();
  snapshot_.files[0].root.reset();
  snapshot_.files[1].pieces.clear();
  EXPECT_THAT(failed(), IsEmpty());
  source_.files["a"].back() ^= std::byte{1};
  source_.files["b"].front() ^= std::byte{1};
  EXPECT_THAT(failed(), ElementsAre("a", "b"));
}

TEST_F(VerifyTest, a_file_nobody_vouches_for_is_invalid_and_nothing_is_read) {
  snapshot_.files[1] = {};
  snapshot_.files[1].path = "b";
  snapshot_.files[1].size = 3'000'000;
  const auto verification = run();
  ASSERT_FALSE(verification.ok());
  EXPECT_EQ(verification.error().code(), Code::kInvalid);
  EXPECT_FALSE(verification.error().hint().empty());
  EXPECT_THAT(source_.reads(), IsEmpty());
}

TEST_F(VerifyTest, a_directory_that_is_neither_sealed_nor_listed_is_invalid) {
  snapshot_ = {};
  EXPECT_EQ(run().error().code(), Code::kInvalid);
}

}  // namespace
}  // namespace weighbridge::transfer
