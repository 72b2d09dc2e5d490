#include "hash/hash_tree.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/scratch_directory.h"

namespace weighbridge::hash {
namespace {

using Bytes = std::vector<std::byte>;

Bytes random_bytes(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(count);
  std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<std::byte>(random()); });
  return bytes;
}

// What the official program prints for files that hold the first `sizes[i]` of `bytes`.
std::vector<std::string> b3sum(const Bytes& bytes, const std::vector<std::size_t>& sizes) {
  const testing::ScratchDirectory scratch;
  std::string command = "b3sum --no-names --num-threads 1";
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const std::string path = scratch / std::to_string(i);
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(sizes[i]));
    command += " " + path;
  }
  std::vector<std::string> printed;
  FILE* const pipe = ::popen(command.c_str(), "r");
  std::array<char, 128> line;
  while (std::fgets(line.data(), line.size(), pipe) != nullptr) {
    const std::string text = line.data();
    printed.push_back(text.substr(0, text.find('\n')));
  }
  ::pclose(pipe);
  return printed;
}

ChainingValue piece_of(std::span<const std::byte> file, std::uint64_t piece) {
  const base::Range range = piece_range(piece, file.size());
  PieceHasher hasher;
  hasher.start(piece);
  hasher.update(file.subspan(range.begin, range.size()));
  return hasher.finish_piece();
}

std::vector<std::size_t> sizes_around_every_edge() {
  std::vector<std::size_t> sizes = {0, 1, 2};
  for (const std::size_t edge :
       {std::size_t{64}, kChunkBytes, kStrideBytes, std::size_t{kPieceBytes}}) {
    for (std::size_t size = edge - 2; size <= edge + 2; ++size) {
      sizes.push_back(size);
    }
  }
  return sizes;
}

void expect_roots_of_b3sum(const std::vector<std::size_t>& sizes, std::uint64_t seed) {
  const Bytes bytes = random_bytes(*std::max_element(sizes.begin(), sizes.end()), seed);
  const std::vector<std::string> expected = b3sum(bytes, sizes);
  ASSERT_EQ(expected.size(), sizes.size()) << "b3sum is needed: apt-get install b3sum";
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    EXPECT_EQ(hash_bytes(std::span(bytes).first(sizes[i])).hex(), expected[i]) << sizes[i];
  }
}

TEST(HashTree, RootsAroundEveryEdgeAreThoseOfB3sum) {
  expect_roots_of_b3sum(sizes_around_every_edge(), 1);
}

TEST(HashTree, RootsOfSeveralPiecesAreThoseOfB3sum) {
  std::vector<std::size_t> sizes;
  for (const std::size_t pieces : {2U, 3U, 4U, 5U, 7U, 8U}) {
    for (const int off : {-2, -1, 0, 1, 2, 1024}) {
      sizes.push_back(pieces * kPieceBytes + static_cast<std::size_t>(off));
    }
  }
  expect_roots_of_b3sum(sizes, 2);
}

TEST(HashTree, RootsOfRandomSizesAreThoseOfB3sum) {
  std::mt19937_64 random(3);
  std::vector<std::size_t> sizes(100);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    sizes[i] = random() % (i % 2 == 0 ? kPieceBytes / 8 : 4 * kPieceBytes);
  }
  expect_roots_of_b3sum(sizes, 3);
}

TEST(HashTree, RootsOfKnownInputsAreTheOfficialOnes) {
  EXPECT_EQ(hash_bytes({}).hex(),
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
  const std::string_view abc = "abc";
  EXPECT_EQ(hash_bytes(std::as_bytes(std::span(abc))).hex(),
            "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
}

TEST(HashTree, PiecesMayBeHashedBackwards) {
  const Bytes file = random_bytes(5 * kPieceBytes + 777, 4);
  std::vector<ChainingValue> pieces(piece_count(file.size()));
  for (std::size_t piece = pieces.size(); piece-- > 0;) {
    pieces[piece] = piece_of(file, piece);
  }
  EXPECT_EQ(merge_pieces(pieces), hash_bytes(file));
}

TEST(HashTree, PiecesMayBeHashedOnSeveralThreads) {
  const Bytes file = random_bytes(7 * kPieceBytes + 1024, 5);
  std::vector<ChainingValue> pieces(piece_count(file.size()));
  {
    std::vector<std::jthread> threads;
    for (std::size_t first = 0; first < 4; ++first) {
      threads.emplace_back([&, first] {
        for (std::size_t piece = first; piece < pieces.size(); piece += 4) {
          pieces[piece] = piece_of(file, piece);
        }
      });
    }
  }
  EXPECT_EQ(merge_pieces(pieces), hash_bytes(file));
}

TEST(HashTree, AnySplitInWholeChunksGivesTheSameValues) {
  std::mt19937_64 random(6);
  const Bytes file = random_bytes(kPieceBytes, 6);
  PieceHasher hasher;
  for (int turn = 0; turn < 100; ++turn) {
    const std::size_t size = 1 + random() % (turn % 2 == 0 ? 4 * kChunkBytes : kPieceBytes);
    const auto piece = std::span(file).first(size);
    const std::size_t most_chunks = 1 + random() % 40;
    hasher.start(0);
    for (std::size_t at = 0; at < size;) {
      const std::size_t step = (random() % (most_chunks + 1)) * kChunkBytes;
      hasher.update(piece.subspan(at, std::min(step, size - at)));
      at += std::min(step, size - at);
    }
    EXPECT_EQ(hasher.finish_root(), hash_bytes(piece)) << size;
  }
}

TEST(HashTree, APieceOfOneChunkHasAValueThatIsNotItsRoot) {
  const Bytes chunk = random_bytes(kChunkBytes, 7);
  EXPECT_NE(piece_of(chunk, 0).hex(), hash_bytes(chunk).hex());
}

TEST(HashTree, ThePlaceOfAPieceEntersItsValue) {
  const Bytes piece = random_bytes(kPieceBytes, 8);
  Bytes twice = piece;
  twice.insert(twice.end(), piece.begin(), piece.end());
  EXPECT_NE(piece_of(twice, 0), piece_of(twice, 1));
}

TEST(HashTree, AHasherIsReadyForTheNextPieceAfterStart) {
  const Bytes file = random_bytes(2 * kPieceBytes, 9);
  PieceHasher hasher;
  hasher.start(0);
  hasher.update(std::span(file).first(5));  // given up halfway
  hasher.start(1);
  hasher.update(std::span(file).subspan(kPieceBytes));
  EXPECT_EQ(hasher.finish_piece(), piece_of(file, 1));
}

TEST(HashTree, PiecesCoverTheFileWithoutGap) {
  EXPECT_EQ(piece_count(0), 1);
  EXPECT_EQ(piece_count(1), 1);
  EXPECT_EQ(piece_count(kPieceBytes), 1);
  EXPECT_EQ(piece_count(kPieceBytes + 1), 2);
  EXPECT_EQ(piece_range(0, 0), (base::Range{0, 0}));
  EXPECT_EQ(piece_range(0, 5), (base::Range{0, 5}));
  EXPECT_EQ(piece_range(1, kPieceBytes + 5), (base::Range{kPieceBytes, kPieceBytes + 5}));
}

TEST(HashTreeDeathTest, MisuseOfAPieceHasherIsADefect) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  const Bytes bytes(kPieceBytes + 1);
  PieceHasher hasher;
  hasher.start(0);
  EXPECT_DEATH(hasher.update(bytes), "at most 1 MiB");
  hasher.update(std::span(bytes).first(10));
  EXPECT_DEATH(hasher.update(std::span(bytes).first(10)), "may be odd");
  EXPECT_DEATH(merge_pieces(std::vector<ChainingValue>(1)), "not a merged one");
}

}  // namespace
}  // namespace weighbridge::hash
