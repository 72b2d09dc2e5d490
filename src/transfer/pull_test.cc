#include "transfer/pull.h"

#include <algorithm>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/units.h"
#include "hash/hash_tree.h"
#include "hash/sha256.h"
#include "sources/testing/fake_source.h"
#include "testing/faulty_file_system.h"
#include "testing/manual_clock.h"
#include "testing/scratch_directory.h"

namespace weighbridge::transfer {
namespace {

using base::Code;
using base::kMiB;
using base::Result;
using sources::testing::FakeSource;
using sources::testing::random_bytes;
using sources::testing::sealed_file;
using Bytes = sources::testing::Bytes;
using Fault = FakeSource::Fault;

// The seal of all that an origin has.
Bytes seal_of(const FakeSource& origin) {
  formats::Seal seal;
  for (const auto& [path, bytes] : origin.files) {
    const model::File file = sealed_file(path, bytes, model::Trust::kOrigin);
    formats::SealedFile sealed;
    sealed.path = path;
    sealed.size = file.size;
    sealed.sha256 = hash::Sha256::of(bytes);
    sealed.root = *file.root;
    sealed.pieces = file.pieces;
    seal.files.push_back(std::move(sealed));
  }
  return formats::write_seal(seal).value();
}

class PullTest : public ::testing::Test {
 protected:
  PullTest() {
    origin_.files["config.json"] = random_bytes(500, 1);
    origin_.files["model.safetensors"] = random_bytes(9 * kMiB + 77, 2);
    origin_.files["sub/other.bin"] = random_bytes(3 * kMiB, 3);
    origin_.seal_bytes = seal_of(origin_);
    origin_.validators["weighbridge.seal"] = {"\"1\"", ""};
    origin_.can_list = false;
  }

  std::unique_ptr<store::Store> open_store() {
    return store::Store::open(disk_, scratch_ / "home").value();
  }

  // As another process would: nothing is remembered but by the store.
  Result<Pulled> pull(const PullOptions& options = {}) {
    const auto store = open_store();
    FirstSeen first_seen;
    Transfer transfer(first_seen, 1);
    PullProgress progress;
    return transfer::pull(call_, {&origin_, transfer, *store}, ref_, options, progress);
  }

  Bytes read(const std::string& path) { return io::read_file(*real_, path, 100 * kMiB).value(); }

  void expect_whole(const Pulled& pulled) {
    for (const auto& [path, bytes] : origin_.files) {
      EXPECT_EQ(read(pulled.directory + "/" + path), bytes) << path;
    }
  }

  std::uint64_t body_bytes() const { return origin_.delivered_bytes(); }

  const weighbridge::testing::ScratchDirectory scratch_;
  const std::unique_ptr<io::FileSystem> real_ = io::real_file_system();
  weighbridge::testing::FaultyFileSystem disk_{*real_};
  const weighbridge::testing::ManualClock clock_{
      weighbridge::testing::ManualClock::Waits::kJumpToTheirEnd};
  base::Call call_{clock_};
  FakeSource origin_;
  model::Ref ref_ = model::Ref::parse("https://host/model/").value();
};

TEST_F(PullTest, EveryFileStandsUnderItsNameAfterwards) {
  const auto pulled = pull();
  ASSERT_TRUE(pulled.ok()) << pulled.error().message();
  expect_whole(*pulled);
  EXPECT_EQ(pulled->files, 3U);
  EXPECT_EQ(pulled->trust, model::Trust::kOrigin);
  EXPECT_EQ(pulled->fetched_bytes, pulled->bytes);
  EXPECT_EQ(pulled->bytes, body_bytes());
}

TEST_F(PullTest, ASecondPullFetchesNothing) {
  const auto first = pull();
  ASSERT_TRUE(first.ok());
  const auto before = body_bytes();
  const auto second = pull();
  ASSERT_TRUE(second.ok()) << second.error().message();
  EXPECT_EQ(body_bytes(), before);
  EXPECT_EQ(second->directory, first->directory);
  EXPECT_EQ(second->present_bytes, second->bytes);
}

}  // namespace
}  // namespace weighbridge::transfer
