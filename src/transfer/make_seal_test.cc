#include "transfer/make_seal.h"

#include <algorithm>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/testing/safetensors_writer.h"
#include "hash/hint.h"
#include "hash/sha256.h"
#include "sources/testing/fake_source.h"
#include "testing/manual_clock.h"

namespace weighbridge::transfer {
namespace {

using base::Code;
using base::Error;
using base::Result;
using formats::testing::make_safetensors;
using sources::testing::Bytes;
using sources::testing::FakeSource;
using sources::testing::random_bytes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class MakeSealTest : public ::testing::Test {
 protected:
  Result<formats::Seal> seal() {
    const sources::Listing listing = source_.list(call_).value().value();
    return make_seal(call_, source_, listing, progress_);
  }

  const testing::ManualClock clock_{testing::ManualClock::Waits::kJumpToTheirEnd};
  const base::Call call_{clock_};
  FakeSource source_;
  Progress progress_;
};

TEST_F(MakeSealTest, says_of_each_file_what_hashing_it_whole_says) {
  constexpr std::size_t kMiB = 1024 * 1024;
  for (const std::size_t size : {std::size_t{0},
                                 std::size_t{1},
                                 std::size_t{1024},
                                 kMiB - 1,
                                 kMiB,
                                 kMiB + 1,
                                 3 * kMiB,
                                 3 * kMiB + 777}) {
    source_.files["f" + std::to_string(size)] = random_bytes(size, size);
  }
  const auto made = seal();
  ASSERT_TRUE(made.ok()) << made.error().message();
  ASSERT_EQ(made->files.size(), source_.files.size());
  for (const formats::SealedFile& file : made->files) {
    const Bytes& bytes = source_.files[file.path];
    EXPECT_EQ(file.size, bytes.size());
    EXPECT_EQ(file.sha256, hash::Sha256::of(bytes)) << file.path;
    EXPECT_EQ(file.root, hash::hash_bytes(bytes)) << file.path;
    EXPECT_EQ(file.pieces.size(), bytes.size() > kMiB ? hash::piece_count(bytes.size()) : 0);
    EXPECT_THAT(file.hints, IsEmpty());
  }
  EXPECT_EQ(progress_.received_bytes, progress_.wanted_bytes);
}

TEST_F(MakeSealTest, hints_every_large_tensor_by_its_bytes) {
  const Bytes& bytes = source_.files["m.safetensors"] =
      make_safetensors({{"a", 3'000'000}, {"small", 1000}, {"b", 1'048'576}, {"c", 1'048'575}});
  const auto made = seal();
  ASSERT_TRUE(made.ok());
  const auto& hints = made->files.at(0).hints;
  ASSERT_EQ(hints.size(), 2U);
  EXPECT_EQ(hints[0].bytes.size(), 3'000'000U);
  EXPECT_EQ(hints[1].bytes.size(), 1'048'576U);
  for (const formats::TensorHint& hint : hints) {
    hash::HintHasher hasher;
    hasher.update(std::span(bytes).subspan(hint.bytes.begin, hint.bytes.size()));
    EXPECT_EQ(hint.hint, hasher.finish());
  }
}

TEST_F(MakeSealTest, a_malformed_model_is_sealed_without_hints) {
  source_.files["broken.safetensors"] = random_bytes(2'000'000, 1);
  source_.files["short.safetensors"] = random_bytes(5, 1);
  Bytes bad_header = make_safetensors({{"a", 2'000'000}});
  bad_header[9] = std::byte{'!'};
  source_.files["header.safetensors"] = bad_header;
  const auto made = seal();
  ASSERT_TRUE(made.ok()) << made.error().message();
  for (const formats::SealedFile& file : made->files) {
    EXPECT_THAT(file.hints, IsEmpty()) << file.path;
    EXPECT_EQ(file.root, hash::hash_bytes(source_.files[file.path]));
  }
}

TEST_F(MakeSealTest, is_the_same_bytes_for_any_number_of_threads) {
  for (int i = 0; i < 12; ++i) {
    source_.files["f" + std::to_string(i)] = random_bytes(300'000 * static_cast<std::size_t>(i), 7);
  }
  std::vector<std::vector<std::byte>> seals;
  for (const std::size_t threads : {1U, 2U, 7U}) {
    source_.connections = threads;
    seals.push_back(formats::write_seal(seal().value()).value());
  }
  EXPECT_EQ(seals[0], seals[1]);
  EXPECT_EQ(seals[0], seals[2]);
}

TEST_F(MakeSealTest, parses_back_to_what_was_made) {
  source_.files["m.safetensors"] = make_safetensors({{"a", 3'000'000}});
  source_.files["x"] = random_bytes(10, 1);
  const formats::Seal made = seal().value();
  const auto parsed = formats::parse_seal(formats::write_seal(made).value());
  ASSERT_TRUE(parsed.ok()) << parsed.error().message();
  ASSERT_EQ(parsed->files.size(), 2U);
  EXPECT_EQ(parsed->files[0].pieces, made.files[0].pieces);
  EXPECT_EQ(parsed->files[0].sha256, made.files[0].sha256);
}

TEST_F(MakeSealTest, names_everything_the_listing_refused_and_reads_nothing) {
  sources::Listing listing;
  listing.refused = {{"pipe", "not a regular file"}, {"up", "a link to a directory"}};
  const auto made = make_seal(call_, source_, listing, progress_);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code(), Code::kInvalid);
  EXPECT_THAT(made.error().message(), HasSubstr("pipe"));
  EXPECT_THAT(made.error().message(), HasSubstr("a link to a directory"));
  EXPECT_THAT(source_.reads(), IsEmpty());
}

TEST_F(MakeSealTest, counts_what_it_has_no_room_to_name) {
  sources::Listing listing;
  for (int i = 0; i < 1000; ++i) {
    listing.refused.push_back({"pipe" + std::to_string(i), "not a regular file"});
  }
  const auto made = make_seal(call_, source_, listing, progress_);
  ASSERT_FALSE(made.ok());
  EXPECT_LT(made.error().message().size(), 2000U);
  EXPECT_THAT(made.error().message(), HasSubstr("980 more"));
}

TEST_F(MakeSealTest, a_file_that_changes_meanwhile_is_a_conflict_by_name) {
  source_.files["a"] = random_bytes(2'000'000, 1);
  source_.files["b"] = random_bytes(2'000'000, 2);
  source_.fault = [](const FakeSource::Read& read) {
    return read.path == "b" ? FakeSource::Fault::fails(
                                  Error(Code::kConflict, "the file changed").in_file("fake://b"))
                            : FakeSource::Fault{};
  };
  const auto made = seal();
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code(), Code::kConflict);
  EXPECT_EQ(made.error().file(), "fake://b");
}

TEST_F(MakeSealTest, a_file_that_ends_early_is_never_sealed) {
  source_.files["a"] = random_bytes(2'000'000, 1);
  sources::Listing listing = source_.list(call_).value().value();
  listing.files[0].size += 1;
  EXPECT_FALSE(make_seal(call_, source_, listing, progress_).ok());
}

TEST_F(MakeSealTest, a_stop_request_ends_it_as_cancelled) {
  source_.files["a"] = random_bytes(2'000'000, 1);
  const sources::Listing listing = source_.list(call_).value().value();
  std::stop_source stop;
  source_.fault = [&](const FakeSource::Read&) {
    stop.request_stop();
    return FakeSource::Fault{};
  };
  const auto made = make_seal(call_.stopped_by(stop.get_token()), source_, listing, progress_);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code(), Code::kCancelled);
}

}  // namespace
}  // namespace weighbridge::transfer
