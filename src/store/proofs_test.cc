#include "store/proofs.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hash/hash_tree.h"
#include "hash/sha256.h"
#include "testing/faulty_file_system.h"
#include "testing/scratch_directory.h"

namespace weighbridge::store {
namespace {

using base::Code;

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kChanged = 1'700'000'000 * kSecond;

base::WallTime at(std::int64_t nanoseconds) {
  return base::WallTime(
      std::chrono::duration_cast<base::WallTime::duration>(std::chrono::nanoseconds(nanoseconds)));
}

HashedFile three_pieces() {
  HashedFile hashed;
  hashed.size = 2 * hash::kPieceBytes + 5;
  for (int i = 0; i < 3; ++i) {
    hash::ChainingValue value;
    value.bytes.fill(static_cast<std::byte>(i + 1));
    hashed.pieces.push_back(value);
  }
  hashed.root = hash::merge_pieces(hashed.pieces);
  hashed.sha256.emplace().bytes.fill(std::byte{7});
  return hashed;
}

HashedFile one_piece() {
  HashedFile hashed;
  hashed.size = 12;
  hashed.root.bytes.fill(std::byte{9});
  return hashed;
}

io::FileInfo file_of(const HashedFile& hashed) {
  io::FileInfo info;
  info.size = hashed.size;
  info.device = 66305;
  info.inode = 0x123456;
  info.mtime_ns = kChanged - kSecond;
  info.ctime_ns = kChanged;
  return info;
}

class ProofsTest : public ::testing::Test {
 protected:
  std::optional<HashedFile> find(const io::FileInfo& file) { return proofs_.find(file).value(); }

  bool remember(const io::FileInfo& file, const HashedFile& hashed) {
    return proofs_.remember(file, at(kChanged + 2 * kSecond), hashed).value();
  }

  // The one record below `directory`.
  std::string only_record(const std::string& directory) {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(home_ + directory)) {
      if (entry.is_regular_file()) {
        found.push_back(entry.path().string());
      }
    }
    EXPECT_EQ(found.size(), 1U);
    return found.front();
  }

  static void flip_byte(const std::string& path, std::uint64_t offset) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(static_cast<char>(byte ^ 1));
  }

  const testing::ScratchDirectory scratch_;
  const std::unique_ptr<io::FileSystem> files_ = io::real_file_system();
  const std::string home_ = scratch_ / "cache/weighbridge";
  Proofs proofs_{*files_, home_};
};

TEST_F(ProofsTest, GivesBackWhatWasRememberedOfTheVeryFile) {
  for (const HashedFile& hashed : {three_pieces(), one_piece()}) {
    EXPECT_TRUE(remember(file_of(hashed), hashed));
    EXPECT_EQ(find(file_of(hashed)), hashed);
  }
}

TEST_F(ProofsTest, KnowsNothingWhereNothingWasRemembered) {
  EXPECT_EQ(find(file_of(one_piece())), std::nullopt);
  EXPECT_EQ(proofs_.find_tree({}).value(), std::nullopt);
  EXPECT_FALSE(std::filesystem::exists(home_)) << "looking makes no directory";
}

TEST_F(ProofsTest, AFileThatDiffersInAnyPartOfItsIdentityIsAnotherFile) {
  const HashedFile hashed = three_pieces();
  ASSERT_TRUE(remember(file_of(hashed), hashed));
  using Change = void (*)(io::FileInfo&);
  for (const Change change : {Change([](io::FileInfo& file) { ++file.device; }),
                              Change([](io::FileInfo& file) { ++file.inode; }),
                              Change([](io::FileInfo& file) { ++file.size; }),
                              Change([](io::FileInfo& file) { ++file.mtime_ns; }),
                              Change([](io::FileInfo& file) { ++file.ctime_ns; })}) {
    io::FileInfo file = file_of(hashed);
    change(file);
    EXPECT_EQ(find(file), std::nullopt);
  }
}

TEST_F(ProofsTest, ARecordIsOfTheFileItNamesAndNotOfTheOneWhoseNameItHas) {
  const HashedFile hashed = three_pieces();
  ASSERT_TRUE(remember(file_of(hashed), hashed));
  io::FileInfo other = file_of(hashed);
  other.inode += 0x100;
  const std::string record = only_record("/proofs");
  std::filesystem::copy_file(record, home_ + "/proofs/56/10301-123556");
  ASSERT_TRUE(record.ends_with("/proofs/56/10301-123456"));
  EXPECT_EQ(find(other), std::nullopt);
}

TEST_F(ProofsTest, NeverRemembersAFileThatChangedLessThanTwoSecondsBeforeItWasRead) {
  const HashedFile hashed = one_piece();
  const io::FileInfo file = file_of(hashed);
  for (const std::int64_t read : {kChanged + 2 * kSecond - 1000, kChanged, kChanged - kSecond}) {
    EXPECT_FALSE(proofs_.remember(file, at(read), hashed).value());
    EXPECT_EQ(find(file), std::nullopt);
  }
  io::FileInfo written_later = file;
  written_later.mtime_ns = kChanged + kSecond;
  EXPECT_FALSE(remember(written_later, hashed));
  EXPECT_TRUE(remember(file, hashed));
}

TEST_F(ProofsTest, ADamagedRecordCountsAsAbsentAndIsReplaced) {
  const HashedFile hashed = three_pieces();
  ASSERT_TRUE(remember(file_of(hashed), hashed));
  const std::string record = only_record("/proofs");
  const auto size = std::filesystem::file_size(record);
  for (std::uint64_t offset = 0; offset < size; ++offset) {
    flip_byte(record, offset);
    ASSERT_EQ(find(file_of(hashed)), std::nullopt) << "byte " << offset;
    flip_byte(record, offset);
  }
  std::filesystem::resize_file(record, size - 1);
  EXPECT_EQ(find(file_of(hashed)), std::nullopt);
  ASSERT_TRUE(remember(file_of(hashed), hashed));
  EXPECT_EQ(find(file_of(hashed)), hashed);
}

TEST_F(ProofsTest, WritesNoRecordThatContradictsItself) {
  HashedFile hashed = three_pieces();
  hashed.pieces.pop_back();
  EXPECT_EQ(proofs_.remember(file_of(hashed), at(kChanged + 9 * kSecond), hashed).error().code(),
            Code::kInvalid);
  hashed = three_pieces();
  hashed.root.bytes.fill(std::byte{1});
  EXPECT_EQ(proofs_.remember_tree(hashed).error().code(), Code::kInvalid);
  io::FileInfo longer = file_of(one_piece());
  ++longer.size;
  EXPECT_EQ(proofs_.remember(longer, at(kChanged + 9 * kSecond), one_piece()).error().code(),
            Code::kInvalid);
}

TEST_F(ProofsTest, FindsATreeByTheSha256ThatWasComputedWithIt) {
  const HashedFile hashed = three_pieces();
  ASSERT_TRUE(proofs_.remember_tree(hashed).ok());
  EXPECT_EQ(proofs_.find_tree(*hashed.sha256).value(), hashed);
  flip_byte(only_record("/hashtrees"), 40);
  EXPECT_EQ(proofs_.find_tree(*hashed.sha256).value(), std::nullopt);
}

TEST_F(ProofsTest, KeepsNoTreeWithoutASha256) {
  EXPECT_EQ(proofs_.remember_tree(one_piece()).error().code(), Code::kInvalid);
}

TEST_F(ProofsTest, TheOldestRecordsMakeWay) {
  const HashedFile hashed = one_piece();
  io::FileInfo file = file_of(hashed);
  const std::size_t records = Proofs::kMaxRecordsADirectory + 3;
  const auto long_ago = std::filesystem::file_time_type::clock::now() - std::chrono::hours(1);
  for (std::size_t i = 0; i < records; ++i) {
    ASSERT_TRUE(remember(file, hashed));
    if (i < 3) {
      std::filesystem::last_write_time(
          fmt::format("{}/proofs/56/{:x}-{:x}", home_, file.device, file.inode), long_ago);
    }
    file.inode += 0x100;
  }
  file = file_of(hashed);
  for (std::size_t i = 0; i < records; ++i, file.inode += 0x100) {
    EXPECT_EQ(find(file).has_value(), i >= 3) << i;
  }
}

TEST_F(ProofsTest, AHomeThatCannotBeWrittenIsAnErrorWithItsName) {
  std::ofstream(scratch_ / "cache") << "a file where a directory should be";
  const HashedFile hashed = one_piece();
  const auto remembered = proofs_.remember(file_of(hashed), at(kChanged + 9 * kSecond), hashed);
  ASSERT_FALSE(remembered.ok());
  EXPECT_THAT(remembered.error().message(), ::testing::HasSubstr(scratch_ / "cache"));
}

TEST_F(ProofsTest, WhateverCallFailsTheRecordIsThereWholeOrNotAtAll) {
  const HashedFile hashed = three_pieces();
  testing::FaultyFileSystem faulty(*files_);
  Proofs proofs(faulty, home_);
  ASSERT_TRUE(proofs.remember(file_of(hashed), at(kChanged + 9 * kSecond), hashed).ok());
  const std::uint64_t calls = faulty.calls();
  for (std::uint64_t nth = 1; nth <= calls; ++nth) {
    std::filesystem::remove_all(scratch_ / "cache");
    testing::FaultyFileSystem failing(*files_);
    failing.fail_call(nth, testing::FaultyFileSystem::Fault::kTornWrite);
    Proofs again(failing, home_);
    EXPECT_FALSE(again.remember(file_of(hashed), at(kChanged + 9 * kSecond), hashed).ok() &&
                 find(file_of(hashed)) != hashed)
        << "call " << nth;
    const auto found = find(file_of(hashed));
    EXPECT_TRUE(!found || *found == hashed);
  }
}

}  // namespace
}  // namespace weighbridge::store
