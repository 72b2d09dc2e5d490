#include "transfer/pull.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/units.h"
#include "hash/hash_tree.h"
#include "hash/sha256.h"
#include "transfer/testing/pull_world.h"

namespace weighbridge::transfer {
namespace {

using base::Code;
using base::Error;
using base::kMiB;
using sources::testing::FakeSource;
using sources::testing::random_bytes;
using testing::Bytes;
using ::testing::HasSubstr;
using testing::PullWorld;
using Fault = FakeSource::Fault;

class PullTest : public ::testing::Test {
 protected:
  PullTest() { world_.serve_model(); }

  // Nothing of this path comes any more once so many of its bytes have.
  void break_after(const std::string& path, std::uint64_t bytes) {
    world_.origin.fault = [path, bytes](const FakeSource::Read& read) {
      if (read.path != path || read.range.end <= bytes) {
        return Fault{};
      }
      Fault fault = Fault::fails(Error(Code::kDenied, "no more"));
      fault.stop_after = read.range.begin < bytes ? bytes - read.range.begin : 0;
      return fault;
    };
  }

  void mend() {
    world_.origin.fault = [](const FakeSource::Read&) { return Fault{}; };
  }

  // The one file is all there is, and nobody says what it is but what `ref` pins.
  void serve_one(const std::string& pin) {
    world_.origin.seal_bytes.reset();
    world_.origin.single = "model.safetensors";
    std::erase_if(world_.origin.files, [](const auto& file) { return file.first[0] != 'm'; });
    world_.ref = model::Ref::parse("https://host/model/model.safetensors" + pin).value();
  }

  const Bytes& weights() const { return world_.origin.files.at("model.safetensors"); }

  // Bytes that the origin gives while `act` runs.
  template <typename Act>
  std::uint64_t cost_of(Act&& act) {
    const std::uint64_t before = world_.origin.delivered_bytes();
    act();
    return world_.origin.delivered_bytes() - before;
  }

  PullWorld world_;
};

TEST_F(PullTest, EveryFileStandsUnderItsNameAfterwards) {
  const auto pulled = world_.pull();
  ASSERT_TRUE(pulled.ok()) << pulled.error().message();
  EXPECT_TRUE(world_.is_whole(*pulled));
  EXPECT_EQ(pulled->files, 3U);
  EXPECT_EQ(pulled->trust, model::Trust::kOrigin);
  EXPECT_EQ(pulled->fetched_bytes, pulled->bytes);
  EXPECT_EQ(pulled->bytes, world_.origin.delivered_bytes());
}

TEST_F(PullTest, ASecondPullAsksWhetherTheSealIsTheSameAndFetchesNothing) {
  const auto first = world_.pull();
  ASSERT_TRUE(first.ok());
  const std::uint64_t questions = world_.origin.questions();
  EXPECT_EQ(cost_of([&] {
              const auto second = world_.pull();
              ASSERT_TRUE(second.ok()) << second.error().message();
              EXPECT_EQ(second->directory, first->directory);
              EXPECT_EQ(second->present_bytes, second->bytes);
            }),
            0U);
  EXPECT_EQ(world_.origin.questions(), questions + 1);
}

TEST_F(PullTest, OfANewRevisionOnlyWhatChangedIsFetched) {
  ASSERT_TRUE(world_.pull().ok());
  world_.origin.files["config.json"] = random_bytes(700, 9);
  world_.seal();
  EXPECT_EQ(cost_of([&] {
              const auto pulled = world_.pull();
              ASSERT_TRUE(pulled.ok()) << pulled.error().message();
              EXPECT_TRUE(world_.is_whole(*pulled));
            }),
            700U);
}

TEST_F(PullTest, WhatWasProvedBeforeAFailureIsNotFetchedAgain) {
  break_after("model.safetensors", 6 * kMiB);
  world_.origin.connections = 1;
  ASSERT_FALSE(world_.pull().ok());
  mend();
  EXPECT_LE(cost_of([&] {
              const auto pulled = world_.pull();
              ASSERT_TRUE(pulled.ok()) << pulled.error().message();
              EXPECT_TRUE(world_.is_whole(*pulled));
              EXPECT_GE(pulled->present_bytes, 6 * kMiB);
            }),
            7 * kMiB);
}

TEST_F(PullTest, FilesThatWereWholeWhenAnotherFailedAreKept) {
  break_after("sub/other.bin", 0);
  ASSERT_FALSE(world_.pull().ok());
  const auto store = world_.open_store();
  const auto config =
      store->blobs().open(world_.call, hash::hash_bytes(world_.origin.files.at("config.json")));
  EXPECT_TRUE(config.ok());
}

TEST_F(PullTest, BytesThatAreNotWhatWasSealedBecomeNoBlob) {
  world_.origin.fault = [](const FakeSource::Read& read) {
    Fault fault;
    if (read.path == "model.safetensors") {
      fault.flip = 5 * kMiB;
    }
    return fault;
  };
  EXPECT_EQ(world_.pull().error().code(), Code::kCorrupt);
  mend();
  const auto pulled = world_.pull();
  ASSERT_TRUE(pulled.ok());
  EXPECT_TRUE(world_.is_whole(*pulled));
}

TEST_F(PullTest, AFileThatOnlyASha256NamesResumesAndIsDecidedAtItsEnd) {
  serve_one("#sha256=" + hash::Sha256::of(weights()).hex());
  world_.origin.connections = 1;
  break_after("model.safetensors", 6 * kMiB);
  ASSERT_FALSE(world_.pull().ok());
  mend();
  EXPECT_LE(cost_of([&] {
              const auto pulled = world_.pull();
              ASSERT_TRUE(pulled.ok()) << pulled.error().message();
              EXPECT_TRUE(world_.is_whole(*pulled));
              EXPECT_EQ(pulled->trust, model::Trust::kPinned);
            }),
            4 * kMiB + 77);
}

TEST_F(PullTest, ASha256ThatDoesNotHoldAfterResumingLeavesNothingBehind) {
  serve_one("#sha256=" + hash::Sha256::of(weights()).hex());
  world_.origin.connections = 1;
  world_.origin.fault = [](const FakeSource::Read& read) {
    Fault fault;
    fault.flip = kMiB;
    if (read.range.end > 6 * kMiB) {
      fault.stop_after = 0;
      fault.error = Error(Code::kDenied, "no more");
    }
    return fault;
  };
  ASSERT_FALSE(world_.pull().ok());
  mend();
  EXPECT_EQ(world_.pull().error().code(), Code::kCorrupt);
  const auto pulled = world_.pull();
  ASSERT_TRUE(pulled.ok()) << pulled.error().message();
  EXPECT_TRUE(world_.is_whole(*pulled));
}

TEST_F(PullTest, AWrongSha256OfAWholeFileLeavesNothingBehind) {
  serve_one("#sha256=" + std::string(64, '0'));
  EXPECT_EQ(world_.pull().error().code(), Code::kCorrupt);
  world_.ref = model::Ref::parse("https://host/model/model.safetensors#sha256=" +
                                 hash::Sha256::of(weights()).hex())
                   .value();
  const auto pulled = world_.pull();
  ASSERT_TRUE(pulled.ok()) << pulled.error().message();
  EXPECT_TRUE(world_.is_whole(*pulled));
}

TEST_F(PullTest, AFileThatOnlyItsRootNamesResumes) {
  serve_one("#blake3=" + hash::hash_bytes(weights()).hex());
  world_.origin.connections = 1;
  break_after("model.safetensors", 6 * kMiB);
  ASSERT_FALSE(world_.pull().ok());
  mend();
  EXPECT_LE(cost_of([&] {
              const auto pulled = world_.pull();
              ASSERT_TRUE(pulled.ok()) << pulled.error().message();
              EXPECT_TRUE(world_.is_whole(*pulled));
            }),
            4 * kMiB + 77);
}

TEST_F(PullTest, AFileThatNothingNamesIsHeldToItsValidator) {
  serve_one("");
  world_.origin.validators["model.safetensors"] = {"\"a\"", ""};
  const auto first = world_.pull();
  ASSERT_TRUE(first.ok()) << first.error().message();
  EXPECT_EQ(first->trust, model::Trust::kFirstSeen);
  EXPECT_EQ(cost_of([&] {
              ASSERT_TRUE(world_.pull().ok());
              ASSERT_TRUE(world_.pull({.filters = {}, .offline = true}).ok());
            }),
            0U);
  world_.origin.files["model.safetensors"] = random_bytes(2 * kMiB, 7);
  world_.origin.validators["model.safetensors"] = {"\"b\"", ""};
  const auto second = world_.pull();
  ASSERT_TRUE(second.ok()) << second.error().message();
  EXPECT_TRUE(world_.is_whole(*second));
}

// Who seals a true SHA-256 beside a false root must not make other Refs believe it.
TEST_F(PullTest, ASealThatPairsATrueSha256WithAFalseRootDeceivesNobody) {
  const Bytes truth = weights();
  const Bytes lie = random_bytes(truth.size(), 66);
  formats::SealedFile sealed = testing::seal_file("model.safetensors", lie);
  sealed.sha256 = hash::Sha256::of(truth);
  world_.origin.files["model.safetensors"] = lie;
  formats::Seal seal;
  seal.files.push_back(sealed);
  world_.origin.seal_bytes = formats::write_seal(seal).value();
  ASSERT_TRUE(world_.pull().ok());
  world_.origin.files["model.safetensors"] = truth;
  serve_one("#sha256=" + hash::Sha256::of(truth).hex());
  const auto pulled = world_.pull();
  ASSERT_TRUE(pulled.ok()) << pulled.error().message();
  EXPECT_TRUE(world_.is_whole(*pulled));
  EXPECT_EQ(pulled->fetched_bytes, truth.size());
}

TEST_F(PullTest, ABlobThatASealPairsWithTheSha256IsHashedHereBeforeAnythingIsFetched) {
  ASSERT_TRUE(world_.pull().ok());
  serve_one("#sha256=" + hash::Sha256::of(weights()).hex());
  const std::uint64_t questions = world_.origin.questions();
  const auto pulled = world_.pull();
  ASSERT_TRUE(pulled.ok()) << pulled.error().message();
  EXPECT_TRUE(world_.is_whole(*pulled));
  EXPECT_EQ(world_.origin.questions(), questions);
}

TEST_F(PullTest, AFilterPullsWhatItNamesAlone) {
  const auto pulled = world_.pull({.filters = {"*.json"}});
  ASSERT_TRUE(pulled.ok()) << pulled.error().message();
  EXPECT_EQ(pulled->files, 1U);
  EXPECT_EQ(world_.read(pulled->directory + "/config.json"), world_.origin.files["config.json"]);
  EXPECT_EQ(world_.pull({.filters = {"*.gguf"}}).error().code(), Code::kNotFound);
}

TEST_F(PullTest, OfflineNobodyIsAskedAndWhatIsMissingIsNamed) {
  ASSERT_TRUE(world_.pull({.filters = {"*.json"}}).ok());
  const std::uint64_t questions = world_.origin.questions();
  EXPECT_TRUE(world_.pull({.filters = {"*.json"}, .offline = true}).ok());
  const auto lacking = world_.pull({.filters = {}, .offline = true});
  EXPECT_EQ(lacking.error().code(), Code::kNotFound);
  EXPECT_THAT(*lacking.error().file(), HasSubstr("model.safetensors"));
  world_.ref = model::Ref::parse("https://host/other/").value();
  EXPECT_EQ(world_.pull({.filters = {}, .offline = true}).error().code(), Code::kNotFound);
  EXPECT_EQ(world_.origin.questions(), questions);
}

TEST_F(PullTest, ADirectoryThatNothingListsIsRefused) {
  world_.origin.seal_bytes.reset();
  EXPECT_EQ(world_.pull().error().code(), Code::kUnsupported);
}

TEST_F(PullTest, MoreFilesThanMayBeOpenAreAllPulled) {
  constexpr unsigned kFiles = 1100;
  world_.origin.files.clear();
  for (unsigned i = 0; i < kFiles; ++i) {
    world_.origin.files[fmt::format("dir{}/{:04}", i % 7, i)] = random_bytes(100, 1000U + i);
  }
  world_.origin.files["twice"] = world_.origin.files["dir0/0000"];
  world_.seal();
  const auto pulled = world_.pull();
  ASSERT_TRUE(pulled.ok()) << pulled.error().message();
  EXPECT_TRUE(world_.is_whole(*pulled));
}

TEST_F(PullTest, AFullDiskFailsTheNewcomerAndWorksOnceThereIsRoom) {
  world_.limits.quota_bytes = 4 * kMiB;
  EXPECT_EQ(world_.pull().error().code(), Code::kExhausted);
  EXPECT_TRUE(world_.real->list(world_.home + "/partial")->empty()) << "space that nobody uses";
  world_.limits.quota_bytes.reset();
  const auto pulled = world_.pull();
  ASSERT_TRUE(pulled.ok());
  EXPECT_TRUE(world_.is_whole(*pulled));
}

TEST_F(PullTest, SeveralPullsOfOneModelFetchItOnce) {
  world_.origin.connections = 2;
  // Their waits pass on the clock of the machine.
  world_.call = base::Call(base::system_clock());
  {
    std::vector<std::jthread> pulls;
    for (int i = 0; i < 4; ++i) {
      pulls.emplace_back([&] {
        const auto pulled = world_.pull();
        ASSERT_TRUE(pulled.ok()) << pulled.error().message();
        EXPECT_TRUE(world_.is_whole(*pulled));
      });
    }
  }
  std::uint64_t bytes = 0;
  for (const auto& [path, file] : world_.origin.files) {
    bytes += file.size();
  }
  EXPECT_EQ(world_.origin.delivered_bytes(), bytes);
}

// Tensors that moved, as behind a header of another length, are copied and proved by the new seal.
TEST_F(PullTest, OfARevisionWhoseTensorsMovedOnlyTheChangedOnesAreFetched) {
  constexpr std::uint64_t kTensors = 20;
  constexpr std::uint64_t kTensorBytes = 8 * kMiB;
  const auto make = [&](std::uint64_t header, std::uint64_t changed) {
    Bytes bytes = random_bytes(header, 5);
    std::vector<base::Range> hinted;
    for (std::uint64_t i = 0; i < kTensors; ++i) {
      const Bytes tensor = random_bytes(kTensorBytes, i < changed ? 100 + i : 200 + i);
      hinted.push_back({bytes.size(), bytes.size() + tensor.size()});
      bytes.insert(bytes.end(), tensor.begin(), tensor.end());
    }
    formats::Seal seal;
    seal.files.push_back(testing::seal_file("model.safetensors", bytes, hinted));
    world_.origin.files = {{"model.safetensors", std::move(bytes)}};
    world_.origin.seal_bytes = formats::write_seal(seal).value();
    world_.origin.validators.clear();
  };
  make(4000, 0);
  ASSERT_TRUE(world_.pull().ok());
  make(5208, kTensors / 10);
  const std::uint64_t cost = cost_of([&] {
    const auto pulled = world_.pull();
    ASSERT_TRUE(pulled.ok()) << pulled.error().message();
    EXPECT_TRUE(world_.is_whole(*pulled));
    EXPECT_EQ(pulled->copied_bytes + pulled->fetched_bytes, pulled->bytes);
  });
  EXPECT_LE(cost * 100, kTensors * kTensorBytes * 12) << cost;
  std::cout << "delta: " << cost * 1000 / (kTensors * kTensorBytes) << " per mille fetched\n";
}

}  // namespace
}  // namespace weighbridge::transfer
