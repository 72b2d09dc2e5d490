#include "transfer/store_source.h"

#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/units.h"
#include "hash/hash_tree.h"
#include "hash/sha256.h"
#include "transfer/local_proofs.h"
#include "transfer/resolve.h"
#include "transfer/testing/pull_world.h"

namespace weighbridge::transfer {
namespace {

using base::Code;
using base::kMiB;
using sources::testing::FakeSource;
using sources::testing::random_bytes;
using testing::Bytes;
using testing::PullWorld;

class StoreSourceTest : public ::testing::Test {
 protected:
  StoreSourceTest() { world_.serve_model(); }

  void pull() {
    const auto pulled = world_.pull();
    ASSERT_TRUE(pulled.ok()) << pulled.error().message();
  }

  // Reads all that the Ref names through the store, as `load` and `verify` do in a process of
  // their own, and says what went wrong.
  base::Result<std::uint64_t> read_all(StoreSource::Options options = {}, bool hash_always = true) {
    const auto store = world_.open_store();
    const auto source = TRY(StoreSource::open(*store, &world_.origin, world_.ref, options));
    FirstSeen first_seen;
    LocalProofs proofs(store->proofs());
    Transfer transfer(first_seen, 1, &proofs);
    const model::Snapshot snapshot = TRY(resolve(world_.call, *source, world_.ref));
    std::vector<Want> wants;
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < snapshot.files.size(); ++i) {
      wants.push_back({i, {0, snapshot.files[i].size}});
      bytes += snapshot.files[i].size;
    }
    DiscardingSink sink;
    Progress progress;
    TRY(transfer.run(
        world_.call, {*source, snapshot, wants}, sink, progress, {.hash_always = hash_always}));
    return bytes;
  }

  void pin(const std::string& ref) { world_.ref = model::Ref::parse(ref).value(); }

  std::string blob_of(const std::string& path) {
    return world_.open_store()->home().blob(hash::hash_bytes(world_.origin.files.at(path)));
  }

  // Flips a byte on the disk; its time moves, as any writer's does.
  void rot(const std::string& path) {
    const auto file = world_.real->open_to_write(blob_of(path), io::Caching::kKeep).value();
    std::byte byte{};
    ASSERT_TRUE(file->read_at(2 * kMiB, {&byte, 1}).ok());
    byte ^= std::byte{1};
    ASSERT_TRUE(file->write_at(2 * kMiB, {&byte, 1}).ok());
  }

  PullWorld world_;
};

TEST_F(StoreSourceTest, WhatWasPulledIsReadFromTheStore) {
  pull();
  const std::uint64_t before = world_.origin.delivered_bytes();
  const std::uint64_t questions = world_.origin.questions();
  EXPECT_TRUE(read_all().ok());
  EXPECT_EQ(world_.origin.delivered_bytes(), before);
  EXPECT_EQ(world_.origin.questions(), questions + 1) << "is the seal the same?";
}

TEST_F(StoreSourceTest, ARefThatPinsTheSealAsksNothing) {
  pull();
  pin("https://host/model/#sha256=" + hash::Sha256::of(*world_.origin.seal_bytes).hex());
  const std::uint64_t questions = world_.origin.questions();
  const auto read = read_all();
  EXPECT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(world_.origin.questions(), questions);
}

TEST_F(StoreSourceTest, ARefThatPinsAFileAsksNothing) {
  pull();
  world_.origin.single = "model.safetensors";
  const Bytes& weights = world_.origin.files.at("model.safetensors");
  const std::uint64_t questions = world_.origin.questions();
  for (const std::string& pinned : {"#blake3=" + hash::hash_bytes(weights).hex(),
                                    "#sha256=" + hash::Sha256::of(weights).hex()}) {
    pin("https://host/model/model.safetensors" + pinned);
    const auto read = read_all();
    ASSERT_TRUE(read.ok()) << read.error().message();
    EXPECT_EQ(*read, weights.size());
  }
  EXPECT_EQ(world_.origin.questions(), questions);
}

TEST_F(StoreSourceTest, OfflineNothingIsAskedWhateverIsThere) {
  pull();
  const std::uint64_t questions = world_.origin.questions();
  const auto read = read_all({.offline = true});
  EXPECT_TRUE(read.ok()) << read.error().message();
  ASSERT_TRUE(world_.real->remove(blob_of("sub/other.bin")).ok());
  EXPECT_EQ(read_all({.offline = true}).error().code(), Code::kNotFound);
  pin("https://host/never/");
  EXPECT_EQ(read_all({.offline = true}).error().code(), Code::kNotFound);
  EXPECT_EQ(world_.origin.questions(), questions);
}

TEST_F(StoreSourceTest, ANewSealAtTheOriginIsNoticed) {
  pull();
  world_.origin.files["config.json"] = random_bytes(800, 8);
  world_.seal();
  const std::uint64_t before = world_.origin.delivered_bytes();
  EXPECT_TRUE(read_all().ok());
  EXPECT_EQ(world_.origin.delivered_bytes(), before + 800);
}

TEST_F(StoreSourceTest, AnUnsealedFileIsTheSameWhileItsOriginSaysSo) {
  world_.origin.seal_bytes.reset();
  world_.origin.single = "model.safetensors";
  world_.origin.validators["model.safetensors"] = {"\"a\"", ""};
  pin("https://host/model/model.safetensors");
  pull();
  const std::uint64_t before = world_.origin.delivered_bytes();
  EXPECT_TRUE(read_all().ok());
  EXPECT_TRUE(read_all({.offline = true}).ok());
  EXPECT_EQ(world_.origin.delivered_bytes(), before);
  world_.origin.validators["model.safetensors"] = {"\"b\"", ""};
  EXPECT_TRUE(read_all().ok());
  EXPECT_GT(world_.origin.delivered_bytes(), before);
}

TEST_F(StoreSourceTest, ABlobThatWasProvedWhenItCameIsNotHashedAgain) {
  pull();
  const std::string path = blob_of("model.safetensors");
  const auto times = world_.real->info(path).value();
  const auto store = world_.open_store();
  const auto source = StoreSource::open(*store, &world_.origin, world_.ref, {}).value();
  ASSERT_TRUE(resolve(world_.call, *source, world_.ref).ok());
  LocalProofs proofs(store->proofs());
  model::File file = sources::testing::sealed_file(
      "model.safetensors", world_.origin.files.at("model.safetensors"), model::Trust::kOrigin);
  const auto met = proofs.meet(world_.call, *source, file, false);
  ASSERT_TRUE(met.has_value());
  EXPECT_TRUE(met->known.has_value());
  EXPECT_EQ(met->file.info.inode, times.inode);
  rot("model.safetensors");
  const auto changed = proofs.meet(world_.call, *source, file, false);
  EXPECT_FALSE(changed && changed->known);
}

TEST_F(StoreSourceTest, ARottenBlobIsQuarantinedAndReadFromTheOrigin) {
  pull();
  rot("model.safetensors");
  const auto read = read_all({}, false);
  EXPECT_TRUE(read.ok()) << read.error().message();
  EXPECT_FALSE(world_.real->info(blob_of("model.safetensors")).ok());
  const auto quarantine = world_.real->list(world_.home + "/quarantine");
  ASSERT_TRUE(quarantine.ok());
  EXPECT_EQ(quarantine->size(), 1U);
  pull();
  EXPECT_TRUE(world_.real->info(blob_of("model.safetensors")).ok());
}

TEST_F(StoreSourceTest, OfflineARottenBlobIsAnError) {
  pull();
  rot("model.safetensors");
  const auto read = read_all({.offline = true}, false);
  ASSERT_FALSE(read.ok());
  EXPECT_FALSE(world_.real->info(blob_of("model.safetensors")).ok());
}

TEST_F(StoreSourceTest, ANameThatTheStoreDoesNotHaveIsNotFound) {
  const auto store = world_.open_store();
  pin("qwen:latest");
  const auto source = StoreSource::open(*store, nullptr, world_.ref, {});
  EXPECT_EQ(source.error().code(), Code::kNotFound);
}

TEST_F(StoreSourceTest, ANameThatTheStoreHasIsReadWithoutAnOrigin) {
  const auto pulled = world_.pull().value();
  const auto store = world_.open_store();
  auto record = store->refs().find(world_.ref).value().value();
  const auto name = model::Ref::parse("qwen:latest").value();
  record.ref = name.printable();
  ASSERT_TRUE(store->refs().put(name, record).ok());
  const auto source = StoreSource::open(*store, nullptr, name, {}).value();
  const auto snapshot = resolve(world_.call, *source, name);
  ASSERT_TRUE(snapshot.ok()) << snapshot.error().message();
  EXPECT_EQ(snapshot->content_id, pulled.content_id);
}

}  // namespace
}  // namespace weighbridge::transfer
