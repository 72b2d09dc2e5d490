#include "transfer/resolve.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/seal.h"
#include "hash/hash_tree.h"
#include "hash/sha256.h"
#include "sources/testing/fake_source.h"
#include "testing/manual_clock.h"
#include "transfer/make_seal.h"

namespace weighbridge::transfer {
namespace {

using base::Code;
using base::Error;
using base::Result;
using model::Method;
using model::Trust;
using sources::testing::Bytes;
using sources::testing::FakeSource;
using sources::testing::random_bytes;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Passes everything on, but its seal fails or is hurt a number of times first. Thread-compatible.
class FlakySealSource final : public sources::Source {
 public:
  FlakySealSource(FakeSource& below, std::function<Result<void>(Bytes&)> hurt, int times)
      : below_(below), hurt_(std::move(hurt)), times_(times) {}

  Result<std::optional<Bytes>> seal(const base::Call& call) override {
    ++asked;
    auto seal = TRY(below_.seal(call));
    if (times_-- > 0) {
      TRY(hurt_(*seal));
    }
    return seal;
  }

  std::string identity(std::string_view path) const override { return below_.identity(path); }

  Result<std::string> single_file(const base::Call& call) override {
    return below_.single_file(call);
  }

  Result<std::optional<sources::Listing>> list(const base::Call& call) override {
    return below_.list(call);
  }

  Result<model::File> find(const base::Call& call, std::string_view path) override {
    return below_.find(call, path);
  }

  Result<void> read(const base::Call& call,
                    const model::File& file,
                    base::Range range,
                    base::BodySink& sink) override {
    return below_.read(call, file, range, sink);
  }

  std::string printable(std::string_view path) const override { return below_.printable(path); }

  std::size_t max_connections() const override { return 1; }

  int asked = 0;

 private:
  FakeSource& below_;
  const std::function<Result<void>(Bytes&)> hurt_;
  int times_;
};

class ResolveTest : public ::testing::Test {
 protected:
  ResolveTest() {
    source_.files["a"] = random_bytes(2'000'000, 1);
    source_.files["b"] = random_bytes(10, 2);
  }

  void seal() {
    Progress progress;
    const sources::Listing listing = source_.list(call_).value().value();
    source_.seal_bytes =
        formats::write_seal(make_seal(call_, source_, listing, progress).value()).value();
  }

  std::string seal_pin() const { return "#sha256=" + hash::Sha256::of(*source_.seal_bytes).hex(); }

  Result<model::Snapshot> run(const std::string& pin = "") { return run(source_, pin); }

  Result<model::Snapshot> run(sources::Source& source, const std::string& pin = "") {
    return resolve(call_, source, model::Ref::parse("http://fake/" + source_.single + pin).value());
  }

  const testing::ManualClock clock_{testing::ManualClock::Waits::kJumpToTheirEnd};
  const base::Call call_{clock_};
  FakeSource source_;
};

TEST_F(ResolveTest, a_seal_gives_every_file_with_its_digests_held_with_its_origin) {
  seal();
  const model::Snapshot snapshot = run().value();
  ASSERT_EQ(snapshot.files.size(), 2U);
  EXPECT_TRUE(snapshot.listed);
  EXPECT_TRUE(snapshot.content_id.has_value());
  EXPECT_EQ(snapshot.seal_sha256, hash::Sha256::of(*source_.seal_bytes));
  EXPECT_EQ(snapshot.files[0].root, hash::hash_bytes(source_.files["a"]));
  EXPECT_EQ(snapshot.files[0].trust, Trust::kOrigin);
}

TEST_F(ResolveTest, a_pinned_seal_holds_as_pinned_and_another_is_corrupt) {
  seal();
  EXPECT_EQ(run(seal_pin())->files[1].trust, Trust::kPinned);
  const auto other = run("#sha256=" + std::string(64, 'a'));
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().code(), Code::kCorrupt);
  EXPECT_THAT(other.error().message(), HasSubstr(std::string(64, 'a')));
}

TEST_F(ResolveTest, without_a_seal_a_directory_is_listed_where_it_can_be) {
  const model::Snapshot listed = run().value();
  EXPECT_EQ(listed.files.size(), 2U);
  EXPECT_TRUE(listed.listed);
  EXPECT_EQ(listed.files[0].method(), Method::kNothing);
  source_.can_list = false;
  const model::Snapshot unlisted = run().value();
  EXPECT_THAT(unlisted.files, IsEmpty());
  EXPECT_FALSE(unlisted.listed);
}

TEST_F(ResolveTest, a_file_named_alone_is_found_and_pinned_by_its_own_digest) {
  source_.single = "a";
  const std::string sha256 = hash::Sha256::of(source_.files["a"]).hex();
  const model::Snapshot snapshot = run("#sha256=" + sha256).value();
  ASSERT_EQ(snapshot.files.size(), 1U);
  EXPECT_EQ(snapshot.files[0].trust, Trust::kPinned);
  EXPECT_EQ(snapshot.files[0].method(), Method::kSha256);
  EXPECT_EQ(run()->files[0].trust, Trust::kNone);
}

TEST_F(ResolveTest, a_pin_on_a_file_beats_the_seal_beside_it) {
  seal();
  source_.single = "a";
  const std::string other = hash::hash_bytes(source_.files["b"]).hex();
  const model::Snapshot snapshot = run("#blake3=" + other).value();
  EXPECT_EQ(snapshot.files[0].root->hex(), other);
  EXPECT_THAT(snapshot.files[0].pieces, IsEmpty());
  const model::Snapshot by_sha256 = run("#sha256=" + std::string(64, 'a')).value();
  EXPECT_EQ(by_sha256.files[0].sha256->hex(), std::string(64, 'a'));
  EXPECT_FALSE(by_sha256.files[0].root.has_value());
}

TEST_F(ResolveTest, a_seal_with_the_pinned_root_lends_its_pieces) {
  seal();
  source_.single = "a";
  const std::string root = hash::hash_bytes(source_.files["a"]).hex();
  const model::Snapshot snapshot = run("#blake3=" + root).value();
  EXPECT_EQ(snapshot.files[0].trust, Trust::kPinned);
  EXPECT_EQ(snapshot.files[0].method(), Method::kPieces);
}

TEST_F(ResolveTest, a_pinned_seal_serves_a_file_named_alone) {
  seal();
  source_.single = "a";
  const model::Snapshot snapshot = run(seal_pin()).value();
  ASSERT_EQ(snapshot.files.size(), 1U);
  EXPECT_EQ(snapshot.files[0].trust, Trust::kPinned);
  EXPECT_EQ(snapshot.files[0].method(), Method::kPieces);
}

TEST_F(ResolveTest, what_is_missing_is_not_found) {
  EXPECT_EQ(run("#sha256=" + std::string(64, 'a')).error().code(), Code::kNotFound);
  source_.single = "nothing";
  EXPECT_EQ(run().error().code(), Code::kNotFound);
  seal();
  EXPECT_THAT(run().error().message(), HasSubstr("nothing"));
}

TEST_F(ResolveTest, a_root_pins_no_directory) {
  seal();
  EXPECT_EQ(run("#blake3=" + std::string(64, 'a')).error().code(), Code::kInvalid);
}

TEST_F(ResolveTest, a_seal_hurt_on_its_way_is_asked_for_again) {
  seal();
  FlakySealSource flaky(
      source_,
      [](Bytes& bytes) {
        bytes[bytes.size() / 2] ^= std::byte{4};
        return Result<void>();
      },
      2);
  const auto snapshot = run(flaky);
  ASSERT_TRUE(snapshot.ok()) << snapshot.error().message();
  EXPECT_EQ(flaky.asked, 3);
}

TEST_F(ResolveTest, a_seal_that_stays_broken_is_corrupt_after_three_tries_and_named) {
  seal();
  FlakySealSource broken(
      source_,
      [](Bytes& bytes) {
        bytes.resize(bytes.size() - 1);
        return Result<void>();
      },
      1000);
  const auto snapshot = run(broken);
  ASSERT_FALSE(snapshot.ok());
  EXPECT_EQ(snapshot.error().code(), Code::kCorrupt);
  EXPECT_THAT(snapshot.error().file().value_or(""), HasSubstr(formats::kSealName));
  EXPECT_EQ(broken.asked, static_cast<int>(Transfer::kProofTries));
}

TEST_F(ResolveTest, an_origin_that_is_away_for_a_while_is_waited_for) {
  seal();
  FlakySealSource away(
      source_,
      [](Bytes&) -> Result<void> {
        return Error(Code::kUnavailable, "away").with_retry_after(std::chrono::seconds(5));
      },
      3);
  ASSERT_TRUE(run(away).ok());
  EXPECT_EQ(away.asked, 4);
  EXPECT_GE(clock_.elapsed(), std::chrono::seconds(15));
}

TEST_F(ResolveTest, a_denied_seal_is_not_asked_for_again) {
  seal();
  FlakySealSource denied(
      source_, [](Bytes&) -> Result<void> { return Error(Code::kDenied, "no"); }, 1000);
  EXPECT_EQ(run(denied).error().code(), Code::kDenied);
  EXPECT_EQ(denied.asked, 1);
}

}  // namespace
}  // namespace weighbridge::transfer
