#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/seal.h"
#include "pack/testing/push_fixture.h"
#include "transfer/make_seal.h"

namespace weighbridge::pack {
namespace {

using base::Code;
using base::Result;
using registry::Capabilities;
using testing::FakeRules;
using testing::HttpFault;
using testing::kShardBytes;
using testing::PushTest;
using testing::some_bytes;

class StraightThroughTest : public PushTest {
 protected:
  StraightThroughTest() {
    write_model();
    const auto from = model::Ref::parse(directory_.path()).value();
    const auto source = sources::open_file_source(*files_, from).value();
    const auto listing = source->list(call()).value();
    transfer::Progress progress;
    seal_ = transfer::make_seal(call(), *source, *listing, progress).value();
    publish_seal();
    origin_.serve_directory(directory_.path());
  }

  void publish_seal() {
    const auto bytes = formats::write_seal(seal_).value();
    write("weighbridge.seal", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }

  Result<Pushed> push_through() { return push("org/model:v1", origin_.url("/")); }

  formats::Seal seal_;
  weighbridge::testing::HttpServer origin_;
};

TEST_F(StraightThroughTest, AModelComesFromAnotherServerProved) {
  const auto pushed = push_through();

  ASSERT_TRUE(pushed.ok()) << pushed.error().message();
  expect_model_there();
  EXPECT_EQ(pushed->seal_sha256, hash::Sha256::of(formats::write_seal(seal_).value()));
}

TEST_F(StraightThroughTest, WhatATrustedSealSaysIsThereIsNotRead) {
  ASSERT_TRUE(push_through().ok());
  const auto read = origin_.counts("/a.bin").body_bytes;

  const auto again = push_through();

  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_TRUE(again->was_there);
  EXPECT_EQ(origin_.counts("/a.bin").body_bytes, read);
}

TEST_F(StraightThroughTest, ASealThatNamesAnotherSha256IsNotBelieved) {
  seal_.files[0].sha256.bytes[0] ^= std::byte{1};
  publish_seal();

  const auto pushed = push_through();

  ASSERT_FALSE(pushed.ok());
  EXPECT_EQ(pushed.error().code(), Code::kCorrupt);
  EXPECT_FALSE(pair_->client().get_manifest(call(), "org/model", "v1").ok());
}

TEST_F(StraightThroughTest, BytesThatAreNotWhatTheSealSaysArriveNowhere) {
  std::string changed = some_bytes(kShardBytes);
  changed[77] ^= 1;
  write("a.bin", changed);

  const auto pushed = push_through();

  ASSERT_FALSE(pushed.ok());
  EXPECT_EQ(pushed.error().code(), Code::kCorrupt);
  EXPECT_EQ(fake().open_uploads(), 0U);
}

TEST_F(StraightThroughTest, ADroppedConnectionToTheRegistryFetchesAgainWhatItLost) {
  for (const bool keeps : {true, false}) {
    FakeRules rules;
    rules.keeps_broken_patch = keeps;
    rules.put_whole = false;
    Capabilities known;
    known.put_whole = false;
    begin(rules, known);
    fake().break_next_patch();

    const auto pushed = push_through();

    ASSERT_TRUE(pushed.ok()) << pushed.error().message();
    expect_model_there();
  }
}

TEST_F(StraightThroughTest, AnOriginWithoutRangesIsReadAsOneStream) {
  origin_.set_decide([](const auto&) {
    HttpFault fault;
    fault.ignore_range = true;
    return fault;
  });

  const auto pushed = push_through();

  ASSERT_TRUE(pushed.ok()) << pushed.error().message();
  expect_model_there();
}

TEST_F(StraightThroughTest, ADirectoryThatCannotBeListedIsRefused) {
  std::filesystem::remove(directory_ / "weighbridge.seal");

  const auto pushed = push_through();

  ASSERT_FALSE(pushed.ok());
  EXPECT_EQ(pushed.error().code(), Code::kUnsupported);
}

}  // namespace
}  // namespace weighbridge::pack
