#include "loader/map.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/units.h"
#include "formats/testing/safetensors_writer.h"
#include "hash/hash_tree.h"
#include "sources/testing/fake_source.h"
#include "store/testing/store_world.h"
#include "testing/manual_clock.h"
#include "testing/scratch_directory.h"

namespace weighbridge::loader {
namespace {

using base::Code;
using base::Result;
using formats::testing::bytes_of_tensor;
using formats::testing::MadeTensor;
using formats::testing::make_safetensors;
using sources::testing::FakeSource;

class MapTest : public ::testing::Test {
 protected:
  MapTest() {
    const std::vector<MadeTensor> tensors = {{"a", 2'800'000}, {"b", 5}, {"empty", 0}};
    for (const MadeTensor& tensor : tensors) {
      expected_[tensor.name] = bytes_of_tensor(tensor);
    }
    bytes_ = make_safetensors(tensors);
    source_.files["model.safetensors"] = bytes_;
    source_.single = "model.safetensors";
  }

  void fill_store() {
    const auto file = store::testing::sealed("model.safetensors", bytes_);
    ASSERT_TRUE(store::testing::fetch(call_, store_->blobs(), file, bytes_).ok());
  }

  Result<Mapped> map(MapOptions options = {}) {
    const std::string pin = "#blake3=" + hash::hash_bytes(bytes_).hex();
    const auto ref = model::Ref::parse("http://fake/model.safetensors" + pin).value();
    return loader::map(call_, {source_, transfer_, *store_}, ref, std::move(options));
  }

  const testing::ScratchDirectory scratch_;
  const std::unique_ptr<io::FileSystem> files_ = io::real_file_system();
  const std::unique_ptr<store::Store> store_ =
      store::Store::open(*files_, scratch_ / "home").value();
  testing::ManualClock clock_{testing::ManualClock::Waits::kJumpToTheirEnd};
  base::Call call_{clock_};
  FakeSource source_;
  transfer::FirstSeen first_seen_;
  transfer::Transfer transfer_{first_seen_, 1};
  std::map<std::string, std::vector<std::byte>, std::less<>> expected_;
  std::vector<std::byte> bytes_;
};

TEST_F(MapTest, HandsOutEveryTensorAsItStandsInTheStore) {
  fill_store();
  const auto mapped = map();
  ASSERT_TRUE(mapped.ok()) << mapped.error().message();
  ASSERT_EQ(mapped->tensors.size(), 3U);
  for (const Tensor& tensor : mapped->tensors) {
    EXPECT_TRUE(std::ranges::equal(tensor.bytes(), expected_.find(tensor.name())->second));
    EXPECT_EQ(tensor.proof().trust, model::Trust::kPinned);
  }
  EXPECT_EQ(mapped->report.tensors, 3U);
  EXPECT_EQ(mapped->report.bytes, 2'800'005U);
}

TEST_F(MapTest, KeepsABlobFromEvictionWhileOneTensorLives) {
  fill_store();
  auto mapped = map().value();
  const auto is_a = [](const Tensor& tensor) { return tensor.name() == "a"; };
  Tensor last = *std::ranges::find_if(mapped.tensors, is_a);
  mapped.tensors.clear();
  const auto kept = store_->space().gc(call_, {});
  ASSERT_TRUE(kept.ok());
  EXPECT_TRUE(kept->blobs.empty());
  EXPECT_EQ(kept->passed_by, 1U);
  EXPECT_TRUE(std::ranges::equal(last.bytes(), expected_["a"]));
  const auto other = map({.filters = {"b"}});
  ASSERT_TRUE(other.ok());
  last = other->tensors.front();
  EXPECT_EQ(last.name(), "b");
}

TEST_F(MapTest, LetsABlobGoWithItsLastTensor) {
  fill_store();
  ASSERT_TRUE(map().ok());
  const auto evicted = store_->space().gc(call_, {});
  ASSERT_TRUE(evicted.ok());
  EXPECT_EQ(evicted->blobs.size(), 1U);
}

TEST_F(MapTest, SaysToPullWhatTheStoreDoesNotHave) {
  const auto missing = map();
  EXPECT_EQ(missing.error().code(), Code::kNotFound);
  EXPECT_EQ(missing.error().file(), "model.safetensors");
  EXPECT_THAT(missing.error().hint(), ::testing::HasSubstr("weighbridge pull"));
}

TEST_F(MapTest, MapsOnlyWhatAFilterWants) {
  fill_store();
  const auto mapped = map({.filters = {"b"}});
  ASSERT_TRUE(mapped.ok());
  EXPECT_EQ(mapped->tensors.size(), 1U);
  EXPECT_EQ(mapped->report.bytes, 5U);
  EXPECT_EQ(map({.filters = {"c"}}).error().code(), Code::kNotFound);
}

TEST_F(MapTest, RefusesLessTrustThanIsRequired) {
  fill_store();
  const auto ref = model::Ref::parse("http://fake/model.safetensors").value();
  const auto refused = loader::map(call_,
                                   {source_, transfer_, *store_},
                                   ref,
                                   {.filters = {}, .least_trust = model::Trust::kOrigin});
  EXPECT_EQ(refused.error().code(), Code::kDenied);
}

TEST_F(MapTest, HashesTheBlobWhereThatIsAskedFor) {
  fill_store();
  ASSERT_TRUE(map({.hash_always = true}).ok());
  const std::string blob = store_->home().blob(hash::hash_bytes(bytes_));
  const auto open = files_->open_to_write(blob, io::Caching::kKeep);
  if (!open.ok()) {
    GTEST_SKIP() << "only who may write a blob can hurt it";
  }
  ASSERT_TRUE((*open)->write_at(bytes_.size() - 1, std::array{std::byte{77}}).ok());
  EXPECT_TRUE(map().ok());
  EXPECT_EQ(map({.hash_always = true}).error().code(), Code::kCorrupt);
}

}  // namespace
}  // namespace weighbridge::loader
