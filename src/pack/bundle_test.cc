#include "pack/bundle.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/units.h"
#include "hash/hash_tree.h"
#include "hash/sha256.h"
#include "sources/testing/fake_source.h"
#include "store/testing/store_world.h"
#include "testing/manual_clock.h"
#include "testing/scratch_directory.h"

namespace weighbridge::pack {
namespace {

using base::Code;
using base::kMiB;
using base::Result;
using ::testing::HasSubstr;
using Bytes = std::vector<std::byte>;

class BundleTest : public ::testing::Test {
 protected:
  using Files = std::map<std::string, Bytes>;

  static Files some_files() {
    return {{"config.json", store::testing::bytes_of(1, 500)},
            {"copy.json", store::testing::bytes_of(1, 500)},
            {"empty", {}},
            {"model.safetensors", store::testing::bytes_of(2, 2 * kMiB + 5)},
            {std::string(60, 'd') + "/" + std::string(60, 'f'), store::testing::bytes_of(3, 7)}};
  }

  static formats::Seal seal_of(const Files& files) {
    formats::Seal seal;
    for (const auto& [path, bytes] : files) {
      const model::File file = sources::testing::sealed_file(path, bytes, model::Trust::kOrigin);
      seal.files.push_back({path,
                            file.size,
                            path == "config.json",
                            hash::Sha256::of(bytes),
                            *file.root,
                            file.pieces,
                            {}});
    }
    return seal;
  }

  std::unique_ptr<store::Store> open(const std::string& name) {
    return store::Store::open(*files_, scratch_ / name).value();
  }

  // A store that has them.
  std::unique_ptr<store::Store> filled(const Files& files) {
    auto store = open("first");
    for (const auto& [path, bytes] : files) {
      const auto file = store::testing::sealed(path, bytes);
      EXPECT_TRUE(store::testing::fetch(call_, store->blobs(), file, bytes).ok());
    }
    return store;
  }

  Bytes bundle_of(store::Store& store, const Bytes& seal) {
    Bytes bundle;
    const auto written = write_bundle(call_, store, seal, [&](std::span<const std::byte> bytes) {
      bundle.insert(bundle.end(), bytes.begin(), bytes.end());
      return Result<void>();
    });
    EXPECT_TRUE(written.ok());
    return bundle;
  }

  Bytes some_bundle() {
    const auto store = filled(some_files());
    return bundle_of(*store, formats::write_seal(seal_of(some_files())).value());
  }

  Result<Imported> import(store::Store& store,
                          std::span<const std::byte> bundle,
                          std::size_t step = 1000,
                          std::optional<hash::Sha256Digest> pin = {}) {
    BundleReader reader(call_, store, pin);
    for (std::size_t at = 0; at < bundle.size(); at += step) {
      TRY(reader.feed(bundle.subspan(at, std::min(step, bundle.size() - at))));
    }
    return reader.finish();
  }

  const testing::ScratchDirectory scratch_;
  const std::unique_ptr<io::FileSystem> files_ = io::real_file_system();
  const testing::ManualClock clock_{testing::ManualClock::Waits::kJumpToTheirEnd};
  const base::Call call_{clock_};
};

TEST_F(BundleTest, CarriesASnapshotFromOneStoreToAnother) {
  const Bytes bundle = some_bundle();
  EXPECT_EQ(bundle.size() % 512, 0U);
  const auto store = open("second");
  const auto imported = import(*store, bundle);
  ASSERT_TRUE(imported.ok()) << imported.error().message();
  EXPECT_EQ(imported->files, 5U);
  for (const auto& [path, bytes] : some_files()) {
    EXPECT_EQ(io::read_file(*files_, imported->directory + "/" + path, 10 * kMiB).value(), bytes);
  }
  EXPECT_TRUE(files_->info(imported->directory + "/config.json")->executable);
  EXPECT_TRUE(store->refs().seal(imported->seal_sha256).ok());
  const auto again = import(*store, bundle, bundle.size());
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(again->present_bytes, again->bytes);
}

TEST_F(BundleTest, IsTheSameForTheSameSeal) {
  EXPECT_EQ(some_bundle(), some_bundle());
}

TEST_F(BundleTest, MakesTheSealOfASnapshotThatHasNone) {
  const auto store = filled(some_files());
  const Bytes seal = formats::write_seal(seal_of(some_files())).value();
  const auto snapshot = formats::snapshot_of(
      seal_of(some_files()), "", hash::Sha256::of(seal), model::Trust::kOrigin);
  ASSERT_TRUE(store->snapshots().make(call_, snapshot.files).ok());
  const auto made = seal_of_snapshot(call_, *store, *snapshot.content_id, std::nullopt);
  ASSERT_TRUE(made.ok()) << made.error().message();
  EXPECT_EQ(*made, seal);
  const auto unknown = seal_of_snapshot(call_, *store, hash::hash_bytes(seal), std::nullopt);
  EXPECT_EQ(unknown.error().code(), Code::kNotFound);
}

TEST_F(BundleTest, RefusesEveryCutAndPutsNothingThereThatLooksWhole) {
  const Bytes bundle = some_bundle();
  const auto store = open("second");
  for (std::size_t end = 0; end < bundle.size(); end += 100'003) {
    const auto cut = import(*store, std::span(bundle).first(end));
    EXPECT_EQ(cut.error().code(), Code::kCorrupt) << end;
  }
  EXPECT_TRUE(store->snapshots().all()->empty());
}

TEST_F(BundleTest, RefusesEveryFlippedByte) {
  const Bytes bundle = some_bundle();
  const auto store = open("second");
  for (std::size_t at = 0; at < bundle.size(); at += at < 6000 ? 97 : 50'021) {
    Bytes flipped = bundle;
    flipped[at] ^= std::byte{4};
    const auto refused = import(*store, flipped, 100'000);
    // What tar itself does not look at, no reader misses.
    if (!refused.ok()) {
      EXPECT_NE(refused.error().code(), Code::kInternal) << at;
    } else {
      EXPECT_EQ(
          io::read_file(*files_, refused->directory + "/model.safetensors", 10 * kMiB).value(),
          some_files().at("model.safetensors"));
    }
  }
}

TEST_F(BundleTest, NamesTheFileAndThePlaceWhereBytesAreNotWhatWasSealed) {
  Bytes bundle = some_bundle();
  const Bytes weights = some_files().at("model.safetensors");
  const auto at = std::search(bundle.begin(), bundle.end(), weights.begin(), weights.begin() + 100);
  *(at + static_cast<std::ptrdiff_t>(kMiB + 9)) ^= std::byte{1};
  const auto store = open("second");
  const auto refused = import(*store, bundle);
  EXPECT_EQ(refused.error().code(), Code::kCorrupt);
  EXPECT_EQ(refused.error().file(), "model.safetensors");
  EXPECT_EQ(refused.error().offset(), kMiB);
}

TEST_F(BundleTest, TakesNoOtherSealThanThePinnedOne) {
  const Bytes bundle = some_bundle();
  const auto store = open("second");
  EXPECT_EQ(import(*store, bundle, 1000, hash::Sha256::of({})).error().code(), Code::kCorrupt);
  const auto pin = hash::Sha256::of(formats::write_seal(seal_of(some_files())).value());
  EXPECT_TRUE(import(*store, bundle, 1000, pin).ok());
}

TEST_F(BundleTest, RefusesFilesThatTheSealDoesNotList) {
  Files more = some_files();
  more["zz"] = store::testing::bytes_of(9, 9);
  const auto store = filled(more);
  const Bytes bundle = bundle_of(*store, formats::write_seal(seal_of(more)).value());
  const Bytes small = some_bundle();
  // The larger archive behind the smaller seal.
  const auto front_of = [](const formats::Seal& seal) {
    const std::size_t bytes = formats::write_seal(seal).value().size();
    return 512 + (bytes + 511) / 512 * 512;
  };
  const std::size_t front = front_of(seal_of(some_files()));
  Bytes mixed(small.begin(), small.begin() + static_cast<std::ptrdiff_t>(front));
  const std::size_t rest = front_of(seal_of(more));
  mixed.insert(mixed.end(), bundle.begin() + static_cast<std::ptrdiff_t>(rest), bundle.end());
  const auto other = open("second");
  const auto refused = import(*other, mixed);
  EXPECT_EQ(refused.error().code(), Code::kCorrupt);
  EXPECT_EQ(refused.error().file(), "zz");
}

TEST_F(BundleTest, SaysOfARottenBlobWhereItRotted) {
  const auto store = filled(some_files());
  const Bytes seal = formats::write_seal(seal_of(some_files())).value();
  const std::string blob = store->home().blob(hash::hash_bytes(some_files().at("copy.json")));
  const auto open = files_->open_to_write(blob, io::Caching::kKeep);
  if (!open.ok()) {
    GTEST_SKIP() << "only who may write a blob can hurt it";
  }
  ASSERT_TRUE((*open)->write_at(3, Bytes(1)).ok());
  const auto written =
      write_bundle(call_, *store, seal, [](std::span<const std::byte>) { return Result<void>(); });
  EXPECT_EQ(written.error().code(), Code::kCorrupt);
  EXPECT_EQ(written.error().file(), "config.json");
}

}  // namespace
}  // namespace weighbridge::pack
