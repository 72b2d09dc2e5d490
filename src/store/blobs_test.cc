#include "store/blobs.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/units.h"
#include "hash/hash_tree.h"
#include "hash/sha256.h"
#include "store/testing/store_world.h"

namespace weighbridge::store {
namespace {

using base::Code;
using base::kMiB;
using testing::Bytes;
using testing::bytes_of;
using testing::contents_of;
using testing::fetch;
using testing::fill;
using testing::sealed;
using testing::values_of;
using testing::with_sha256;

class BlobsTest : public ::testing::Test {
 protected:
  Blobs::Begun begin(const model::File& file) {
    return store_.blobs->begin(world_.call, {.file = file, .identity = "test"}).value();
  }

  base::Result<std::vector<BlobFile>> commit(std::unique_ptr<BlobWriter> writer) {
    std::vector<std::unique_ptr<BlobWriter>> writers;
    writers.push_back(std::move(writer));
    return store_.blobs->commit(world_.call, std::move(writers));
  }

  testing::World world_;
  testing::Opened store_ = world_.open();
  const Bytes bytes_ = bytes_of(1, 3 * kMiB + 12345);
  const model::File file_ = sealed("weights", bytes_);
};

TEST_F(BlobsTest, WhatWasCommittedIsThereForTheNextProcess) {
  ASSERT_TRUE(fetch(world_.call, *store_.blobs, file_, bytes_).ok());
  const auto next = world_.open();
  const BlobFile blob = next.blobs->open(world_.call, *file_.root).value();
  EXPECT_EQ(contents_of(blob), bytes_);
  EXPECT_EQ(blob.root(), *file_.root);
  EXPECT_EQ(world_.real->info(next.home->blob(blob.root()))->mode, 0444U);
}

TEST_F(BlobsTest, AnUnfinishedBlobIsNotFound) {
  const auto begun = begin(file_);
  EXPECT_EQ(store_.blobs->open(world_.call, *file_.root).error().code(), Code::kNotFound);
}

TEST_F(BlobsTest, WhatIsThereIsNotFetchedAgain) {
  ASSERT_TRUE(fetch(world_.call, *store_.blobs, file_, bytes_).ok());
  const auto begun = begin(file_);
  ASSERT_TRUE(begun.blob.has_value());
  EXPECT_EQ(begun.writer, nullptr);
}

TEST_F(BlobsTest, AnInterruptedFetchGoesOnWhereItStopped) {
  {
    const auto begun = begin(file_);
    const auto values = values_of(bytes_);
    ASSERT_TRUE(begun.writer->partial()
                    .write(1, std::span(bytes_).subspan(kMiB, 2 * kMiB), {&values[1], 2})
                    .ok());
  }
  store_ = world_.open();
  auto begun = begin(file_);
  EXPECT_EQ(begun.writer->partial().missing(),
            (std::vector<base::Range>{{0, kMiB}, {3 * kMiB, bytes_.size()}}));
  std::uint64_t written = 0;
  ASSERT_TRUE(fill(*begun.writer, bytes_, &written).ok());
  EXPECT_EQ(written, 2U);
  const auto blobs = commit(std::move(begun.writer)).value();
  EXPECT_EQ(contents_of(blobs.front()), bytes_);
}

TEST_F(BlobsTest, PiecesComeInAnyOrderFromSeveralThreads) {
  const Bytes bytes = bytes_of(2, 24 * kMiB + 1);
  const model::File file = sealed("large", bytes);
  const auto values = values_of(bytes);
  auto begun = begin(file);
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] {
        for (std::size_t piece = values.size() - i; piece-- > 0;) {
          if (piece % 4 == (values.size() - 1 - i) % 4) {
            const base::Range range = hash::piece_range(piece, bytes.size());
            EXPECT_TRUE(begun.writer->partial()
                            .write(piece,
                                   std::span(bytes).subspan(range.begin, range.size()),
                                   {&values[piece], 1})
                            .ok());
          }
        }
      });
    }
  }
  EXPECT_TRUE(begun.writer->partial().missing().empty());
  const auto blobs = commit(std::move(begun.writer)).value();
  EXPECT_EQ(contents_of(blobs.front()), bytes);
}

TEST_F(BlobsTest, BytesThatAreNotTheRootBecomeNoBlob) {
  model::File file = file_;
  file.pieces.clear();  // only the whole proves it
  auto begun = begin(file);
  ASSERT_TRUE(fill(*begun.writer, bytes_of(9, bytes_.size())).ok());
  EXPECT_EQ(commit(std::move(begun.writer)).error().code(), Code::kCorrupt);
  EXPECT_EQ(store_.blobs->open(world_.call, *file.root).error().code(), Code::kNotFound);
  EXPECT_EQ(begin(file).writer->partial().missing().size(), 1U);
}

TEST_F(BlobsTest, ABlobWithMissingPiecesIsNotCommitted) {
  EXPECT_EQ(commit(begin(file_).writer).error().code(), Code::kInvalid);
}

TEST_F(BlobsTest, ABlobIsFoundByASha256ThatWasComputedHere) {
  const model::File file = with_sha256("weights", bytes_);
  ASSERT_TRUE(fetch(world_.call, *store_.blobs, file, bytes_).ok());
  const auto blob = world_.open().blobs->open(world_.call, *file.sha256);
  ASSERT_TRUE(blob.ok());
  EXPECT_EQ(blob->root(), *file_.root);
}

TEST_F(BlobsTest, ASha256ThatASealPairsWithARootIsNotBelieved) {
  model::File file = file_;
  file.sha256 = hash::Sha256::of(bytes_of(7, 10));
  ASSERT_TRUE(fetch(world_.call, *store_.blobs, file, bytes_).ok());
  EXPECT_EQ(store_.blobs->open(world_.call, *file.sha256).error().code(), Code::kNotFound);
  const BlobFile blob = store_.blobs->open(world_.call, *file.root).value();
  const auto true_sha256 = store_.blobs->compute_sha256(world_.call, blob).value();
  EXPECT_EQ(true_sha256, hash::Sha256::of(bytes_));
  EXPECT_TRUE(store_.blobs->open(world_.call, true_sha256).ok());
}

TEST_F(BlobsTest, ABlobThatRottedIsNotFoundByTheSha256OfItsRottenBytes) {
  ASSERT_TRUE(fetch(world_.call, *store_.blobs, file_, bytes_).ok());
  const std::string path = store_.home->blob(*file_.root);
  Bytes rotten = bytes_;
  rotten[9] ^= std::byte{1};
  ASSERT_TRUE(world_.real->open_to_write(path, io::Caching::kKeep)
                  .value()
                  ->write_at(9, std::span(rotten).subspan(9, 1))
                  .ok());
  const BlobFile blob = store_.blobs->open(world_.call, *file_.root).value();
  const auto computed = store_.blobs->compute_sha256(world_.call, blob);
  EXPECT_EQ(computed.error().code(), Code::kCorrupt);
  EXPECT_FALSE(store_.blobs->open(world_.call, hash::Sha256::of(rotten)).ok());
}

TEST_F(BlobsTest, BytesThatAreNotTheSha256BecomeNoBlob) {
  const model::File file = with_sha256("weights", bytes_);
  const Bytes other = bytes_of(3, bytes_.size());
  EXPECT_EQ(fetch(world_.call, *store_.blobs, file, other).error().code(), Code::kCorrupt);
  EXPECT_EQ(store_.blobs->open(world_.call, hash::hash_bytes(other)).error().code(),
            Code::kNotFound);
}

TEST_F(BlobsTest, ADamagedLineOfASha256CountsAsAbsent) {
  const model::File file = with_sha256("weights", bytes_);
  ASSERT_TRUE(fetch(world_.call, *store_.blobs, file, bytes_).ok());
  const std::string path = store_.home->sha256(*file.sha256);
  const std::string line(1, '0');
  ASSERT_TRUE(world_.real->open_to_write(path, io::Caching::kKeep)
                  .value()
                  ->write_at(3, std::as_bytes(std::span(line)))
                  .ok());
  EXPECT_EQ(store_.blobs->open(world_.call, *file.sha256).error().code(), Code::kNotFound);
}

TEST_F(BlobsTest, AFileWithoutAnyDigestIsNamedByWhatCame) {
  model::File file;
  file.path = "weights";
  file.size = bytes_.size();
  file.validator.etag = "\"1\"";
  const auto blob = fetch(world_.call, *store_.blobs, file, bytes_);
  ASSERT_TRUE(blob.ok());
  EXPECT_EQ(blob->root(), *file_.root);
  EXPECT_TRUE(begin(file).writer != nullptr) << "another origin's";
  const auto again = store_.blobs->begin(world_.call, {.file = file, .identity = "test:weights"});
  EXPECT_TRUE(again->blob.has_value());
  file.validator.etag = "\"2\"";
  const auto newer = store_.blobs->begin(world_.call, {.file = file, .identity = "test:weights"});
  EXPECT_FALSE(newer->blob.has_value());
}

TEST_F(BlobsTest, WhatNothingIdentifiesIsFetchedAnewFromItsFirstPiece) {
  model::File file;
  file.path = "weights";
  file.size = bytes_.size();
  const auto values = values_of(bytes_);
  ASSERT_TRUE(
      begin(file).writer->partial().write(0, std::span(bytes_).first(kMiB), {&values[0], 1}).ok());
  auto begun = begin(file);
  EXPECT_EQ(begun.writer->partial().missing(), (std::vector<base::Range>{{0, bytes_.size()}}));
  ASSERT_TRUE(fill(*begun.writer, bytes_).ok());
  ASSERT_TRUE(commit(std::move(begun.writer)).ok());
  EXPECT_FALSE(begin(file).blob.has_value());
}

TEST_F(BlobsTest, SmallEmptyAndUnalignedFilesAreBlobsToo) {
  for (const std::size_t size : {std::size_t{0},
                                 std::size_t{1},
                                 std::size_t{4096},
                                 std::size_t{kMiB},
                                 std::size_t{kMiB + 1},
                                 std::size_t{2 * kMiB}}) {
    const Bytes bytes = bytes_of(size, size);
    const auto blob = fetch(world_.call, *store_.blobs, sealed("f", bytes), bytes);
    ASSERT_TRUE(blob.ok()) << size << ": " << blob.error().message();
    EXPECT_EQ(contents_of(*blob), bytes) << size;
  }
}

TEST_F(BlobsTest, ManyFilesAreMadeBlobsTogether) {
  std::vector<std::unique_ptr<BlobWriter>> writers;
  std::vector<Bytes> all;
  for (std::uint64_t i = 0; i < 40; ++i) {
    all.push_back(bytes_of(i, 1000 + i));
    auto begun = begin(sealed("f", all.back()));
    ASSERT_TRUE(fill(*begun.writer, all.back()).ok());
    writers.push_back(std::move(begun.writer));
  }
  const auto blobs = store_.blobs->commit(world_.call, std::move(writers)).value();
  world_.disk.lose_power(weighbridge::testing::FaultyFileSystem::Names::kForgotten);
  store_ = world_.open();
  for (const Bytes& bytes : all) {
    const auto blob = store_.blobs->open(world_.call, hash::hash_bytes(bytes));
    ASSERT_TRUE(blob.ok());
    EXPECT_EQ(contents_of(*blob), bytes);
  }
}

TEST_F(BlobsTest, TheTreeOfABlobProvesItsPieces) {
  ASSERT_TRUE(fetch(world_.call, *store_.blobs, file_, bytes_).ok());
  EXPECT_EQ(store_.blobs->tree(*file_.root, file_.size).value(), values_of(bytes_));
  const std::string path = store_.home->tree(*file_.root);
  const std::string dirt = "dirt";
  ASSERT_TRUE(world_.real->open_to_write(path, io::Caching::kKeep)
                  .value()
                  ->write_at(0, std::as_bytes(std::span(dirt)))
                  .ok());
  EXPECT_EQ(store_.blobs->tree(*file_.root, file_.size).value(), std::nullopt);
}

TEST_F(BlobsTest, ABlobOfAnotherSizeThanNamedIsCorrupt) {
  ASSERT_TRUE(fetch(world_.call, *store_.blobs, file_, bytes_).ok());
  model::File file = file_;
  ++file.size;
  EXPECT_EQ(store_.blobs->begin(world_.call, {.file = file, .identity = ""}).error().code(),
            Code::kCorrupt);
}

TEST_F(BlobsTest, AlignedMemoryGoesPastThePageCacheAndOtherMemoryToo) {
  const auto store = testing::open_store(*world_.real, world_.home).value();
  const Bytes bytes = bytes_of(6, 9 * kMiB + 4099);
  const auto values = values_of(bytes);
  const std::unique_ptr<std::byte[], void (*)(void*)> memory(
      static_cast<std::byte*>(std::aligned_alloc(io::kDirectBytes, 10 * kMiB)), std::free);
  std::ranges::copy(bytes, memory.get());
  const std::span aligned(memory.get(), bytes.size());
  const model::File file = sealed("large", bytes);
  auto begun = store.blobs->begin(world_.call, {.file = file, .identity = ""}).value();
  Partial& partial = begun.writer->partial();
  ASSERT_TRUE(partial.write(0, aligned.first(4 * kMiB), std::span(values).first(4)).ok());
  ASSERT_TRUE(partial.write(8, aligned.subspan(8 * kMiB), std::span(values).subspan(8)).ok());
  ASSERT_TRUE(partial.write(4, std::span(bytes).subspan(4 * kMiB, 4 * kMiB), {&values[4], 4}).ok());
  std::vector<std::unique_ptr<BlobWriter>> writers;
  writers.push_back(std::move(begun.writer));
  const auto blobs = store.blobs->commit(world_.call, std::move(writers)).value();
  EXPECT_EQ(contents_of(blobs.front()), bytes);
}

// Two processes, as two stores that share nothing but the disk.
TEST_F(BlobsTest, WhoWantsWhatAnotherFetchesWaitsForIt) {
  auto begun = begin(file_);
  const base::Call call(base::system_clock());
  std::optional<Blobs::Begun> waited;
  std::jthread other([&] {
    auto store = testing::open_store(*world_.real, world_.home).value();
    waited = store.blobs->begin(call, {.file = file_, .identity = "test"}).value();
  });
  ASSERT_TRUE(fill(*begun.writer, bytes_).ok());
  ASSERT_TRUE(commit(std::move(begun.writer)).ok());
  other.join();
  ASSERT_TRUE(waited->blob.has_value());
  EXPECT_EQ(contents_of(*waited->blob), bytes_);
}

TEST_F(BlobsTest, WhoWaitsTakesOverWhenTheOtherDies) {
  auto begun = begin(file_);
  const base::Call call(base::system_clock());
  const auto values = values_of(bytes_);
  ASSERT_TRUE(
      begun.writer->partial().write(0, std::span(bytes_).first(kMiB), {&values[0], 1}).ok());
  std::optional<Blobs::Begun> waited;
  std::jthread other([&] {
    auto store = testing::open_store(*world_.real, world_.home).value();
    waited = store.blobs->begin(call, {.file = file_, .identity = "test"}).value();
  });
  begun.writer.reset();
  other.join();
  ASSERT_NE(waited->writer, nullptr);
  EXPECT_EQ(waited->writer->partial().missing(), (std::vector<base::Range>{{kMiB, bytes_.size()}}));
}

TEST_F(BlobsTest, WhoWaitsForAnotherStopsWhenToldTo) {
  const auto begun = begin(file_);
  const auto other = testing::open_store(*world_.real, world_.home).value();
  const auto waited = other.blobs->begin(world_.call.within(std::chrono::seconds(1)),
                                         {.file = file_, .identity = "test"});
  EXPECT_EQ(waited.error().code(), Code::kTimedOut);
}

TEST_F(BlobsTest, WithoutSpaceNothingIsBegun) {
  const std::uint64_t before = world_.disk.calls();
  ASSERT_TRUE(
      fetch(world_.call, *store_.blobs, sealed("f", bytes_of(4, 10)), bytes_of(4, 10)).ok());
  const std::uint64_t calls = world_.disk.calls() - before;
  for (std::uint64_t n = 1; n <= calls; ++n) {
    world_.disk.fail_call(n, weighbridge::testing::FaultyFileSystem::Fault::kExhausted);
    const auto begun = store_.blobs->begin(world_.call, {.file = file_, .identity = "test"});
    if (!begun.ok()) {
      EXPECT_EQ(begun.error().code(), Code::kExhausted);
    }
    world_.disk.restart();
  }
  EXPECT_TRUE(fetch(world_.call, *store_.blobs, file_, bytes_).ok());
}

}  // namespace
}  // namespace weighbridge::store
