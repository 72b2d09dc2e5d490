#include "transfer/store_sink.h"

#include <algorithm>
#include <memory>

#include <gtest/gtest.h>

#include "base/units.h"
#include "hash/hash_tree.h"
#include "transfer/testing/pull_world.h"

namespace weighbridge::transfer {
namespace {

using base::Code;
using base::Error;
using base::kMiB;
using sources::testing::random_bytes;
using testing::Bytes;

class StoreSinkTest : public ::testing::Test {
 protected:
  StoreSinkTest() {
    file_ = sources::testing::sealed_file("f", bytes_, model::Trust::kOrigin);
    auto begun = store_->blobs().begin(world_.call, {.file = file_, .identity = "f"}).value();
    writer_ = std::move(begun.writer);
    sink_.add(file_, writer_->partial(), false);
  }

  base::Range range(std::uint64_t piece) const { return hash::piece_range(piece, file_.size); }

  std::span<const std::byte> part(std::uint64_t piece) const {
    return std::span(bytes_).subspan(range(piece).begin, range(piece).size());
  }

  // As the engine would: into the sink's place, if it has one.
  base::Result<void> land(std::uint64_t piece) {
    const std::span<std::byte> place = TRY(sink_.place(file_, range(piece)));
    const auto from = part(piece);
    if (place.empty()) {
      return sink_.landed_as(file_, range(piece), from, file_.pieces[piece]);
    }
    std::ranges::copy(from, place.begin());
    return sink_.landed_as(file_, range(piece), place, file_.pieces[piece]);
  }

  bool is_there(std::uint64_t piece) const { return writer_->partial().has(piece); }

  testing::PullWorld world_;
  const std::unique_ptr<store::Store> store_ = world_.open_store();
  const Bytes bytes_ = random_bytes(9 * kMiB + 77, 1);
  model::File file_;
  std::unique_ptr<store::BlobWriter> writer_;
  PullProgress progress_;
  StoreSink sink_{progress_};
};

TEST_F(StoreSinkTest, PiecesSideBySideAreReceivedSideBySideAndWrittenTogether) {
  const auto first = sink_.place(file_, range(0)).value();
  const auto second = sink_.place(file_, range(1)).value();
  EXPECT_EQ(second.data(), first.data() + first.size());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(first.data()) % io::kDirectBytes, 0U);
  for (const std::uint64_t piece : {2U, 0U, 1U}) {
    ASSERT_TRUE(land(piece).ok());
    EXPECT_FALSE(is_there(piece)) << "it waits for its neighbours";
  }
  ASSERT_TRUE(land(3).ok());
  for (const std::uint64_t piece : {0U, 1U, 2U, 3U}) {
    EXPECT_TRUE(is_there(piece));
  }
}

TEST_F(StoreSinkTest, WhatWaitsForNeighboursIsWrittenAtTheEnd) {
  ASSERT_TRUE(land(1).ok());
  ASSERT_TRUE(land(2).ok());
  ASSERT_TRUE(land(9).ok());
  ASSERT_TRUE(sink_.finish().ok());
  EXPECT_TRUE(is_there(1) && is_there(2) && is_there(9));
  EXPECT_EQ(writer_->partial().missing(),
            (std::vector<base::Range>{{0, kMiB}, {3 * kMiB, 9 * kMiB}}));
}

TEST_F(StoreSinkTest, AWriteThatFailedIsTriedAgainWithThePieceThatMetIt) {
  for (const std::uint64_t piece : {0U, 1U, 2U}) {
    ASSERT_TRUE(land(piece).ok());
  }
  world_.disk.fail_call(1, weighbridge::testing::FaultyFileSystem::Fault::kIo);
  EXPECT_EQ(land(3).error().code(), Code::kIo);
  EXPECT_FALSE(is_there(0));
  ASSERT_TRUE(land(3).ok());
  EXPECT_TRUE(is_there(0) && is_there(3));
}

TEST_F(StoreSinkTest, APieceThatCameElsewhereIsPutBesideItsNeighbours) {
  ASSERT_TRUE(land(0).ok());
  // As a hedge leaves it, in scratch memory.
  ASSERT_TRUE(sink_.landed_as(file_, range(1), part(1), file_.pieces[1]).ok());
  ASSERT_TRUE(land(2).ok());
  ASSERT_TRUE(land(3).ok());
  Bytes read(4 * kMiB);
  ASSERT_TRUE(writer_->partial().read(0, read).ok());
  EXPECT_TRUE(std::equal(read.begin(), read.end(), bytes_.begin()));
}

TEST_F(StoreSinkTest, AFileThatAsAWholeIsNotWhatWasNamedLeavesNothingBehind) {
  const model::File named = [&] {
    model::File file = file_;
    file.root.reset();
    file.pieces.clear();
    return file;
  }();
  auto begun = store_->blobs().begin(world_.call, {.file = named, .identity = "f"}).value();
  sink_.add(named, begun.writer->partial(), true);
  for (std::uint64_t piece = 0; piece < file_.pieces.size(); ++piece) {
    EXPECT_TRUE(sink_.place(named, range(piece))->empty());
    ASSERT_TRUE(sink_.landed_as(named, range(piece), part(piece), file_.pieces[piece]).ok());
  }
  sink_.abandon(named, Error(Code::kCorrupt, "another SHA-256"));
  begun.writer.reset();
  const auto again = store_->blobs().begin(world_.call, {.file = named, .identity = "f"}).value();
  EXPECT_EQ(again.writer->partial().missing().size(), 1U);
  EXPECT_EQ(again.writer->partial().missing().front().size(), bytes_.size());
}

}  // namespace
}  // namespace weighbridge::transfer
