#include "store/journal.h"

#include <gtest/gtest.h>

#include "base/units.h"
#include "testing/scratch_directory.h"

namespace weighbridge::store {
namespace {

using base::Code;
using base::kMiB;

constexpr std::uint64_t kFileBytes = 10 * kMiB + 1;
constexpr std::string_view kId = "id";

hash::ChainingValue value(unsigned char first) {
  hash::ChainingValue result;
  result.bytes[0] = std::byte{first};
  return result;
}

// A journal as a text that grows record by record. Confined to a test.
class JournalTest : public ::testing::Test {
 protected:
  void add(RecordKind kind, std::uint64_t number, unsigned char first = 0) {
    const auto bytes = journal_record({kind, number, value(first)}, end_);
    text_.insert(text_.end(), bytes.begin(), bytes.end());
  }

  Journal parsed() const { return parse_journal(text_, kFileBytes, kId).value(); }

  std::vector<std::byte> text_ = journal_header(kFileBytes, kId);
  JournalEnd end_ = journal_end_of_header(text_);
};

TEST_F(JournalTest, SaysWhatWasWritten) {
  add(RecordKind::kPiece, 7, 1);
  add(RecordKind::kPiece, 10, 2);
  const Journal journal = parsed();
  ASSERT_EQ(journal.pieces.size(), 2U);
  EXPECT_EQ(journal.pieces.at(7).value, value(1));
  EXPECT_EQ(journal.pieces.at(10).value, value(2));
  EXPECT_EQ(journal.end.bytes, text_.size());
  EXPECT_EQ(journal.end.check, end_.check);
}

TEST_F(JournalTest, OnlyWhatACheckpointCoversIsKnownToBeOnDisk) {
  add(RecordKind::kPiece, 0);
  add(RecordKind::kPiece, 1);
  add(RecordKind::kCheckpoint, 1);
  add(RecordKind::kPiece, 2);
  const Journal journal = parsed();
  EXPECT_TRUE(journal.pieces.at(0).on_disk);
  EXPECT_FALSE(journal.pieces.at(1).on_disk);
  EXPECT_FALSE(journal.pieces.at(2).on_disk);
}

TEST_F(JournalTest, APieceThatWasWrittenAgainIsWhatItWasLast) {
  add(RecordKind::kPiece, 3, 1);
  add(RecordKind::kCheckpoint, 1);
  add(RecordKind::kPiece, 3, 2);
  EXPECT_EQ(parsed().pieces.at(3).value, value(2));
  EXPECT_FALSE(parsed().pieces.at(3).on_disk);
}

TEST_F(JournalTest, ATornTailIsIgnored) {
  add(RecordKind::kPiece, 0);
  const std::size_t whole = text_.size();
  add(RecordKind::kPiece, 1);
  while (text_.size() > whole) {
    text_.pop_back();
    const Journal journal = parsed();
    EXPECT_EQ(journal.pieces.size(), 1U);
    EXPECT_EQ(journal.end.bytes, whole);
  }
}

TEST_F(JournalTest, NothingBehindADamagedRecordIsBelieved) {
  add(RecordKind::kPiece, 0);
  add(RecordKind::kPiece, 1);
  add(RecordKind::kPiece, 2);
  const std::vector<std::byte> good = text_;
  for (std::size_t at = kJournalHeaderBytes; at < text_.size(); ++at) {
    text_ = good;
    text_[at] ^= std::byte{1};
    EXPECT_EQ(parsed().pieces.size(), (at - kJournalHeaderBytes) / kJournalRecordBytes);
  }
}

TEST_F(JournalTest, WhatAnEarlierSessionLeftBehindIsNoContinuation) {
  add(RecordKind::kPiece, 0);
  const JournalEnd fork = end_;
  const std::size_t fork_bytes = text_.size();
  add(RecordKind::kPiece, 1);
  add(RecordKind::kPiece, 2);
  // The next session did not see those two, and writes over the first of them.
  std::vector<std::byte> other(text_.begin(), text_.begin() + static_cast<long>(fork_bytes));
  JournalEnd end = fork;
  const auto session = journal_record({RecordKind::kSession, 0, value(99)}, end);
  other.insert(other.end(), session.begin(), session.end());
  other.insert(other.end(), text_.begin() + static_cast<long>(other.size()), text_.end());
  EXPECT_EQ(parse_journal(other, kFileBytes, kId)->pieces.size(), 1U);
}

TEST_F(JournalTest, APieceThatTheFileHasNotEndsTheJournal) {
  add(RecordKind::kPiece, 11);
  add(RecordKind::kPiece, 0);
  EXPECT_TRUE(parsed().pieces.empty());
}

TEST_F(JournalTest, ACheckpointOfWhatDidNotComeYetEndsTheJournal) {
  add(RecordKind::kCheckpoint, 2);
  add(RecordKind::kPiece, 0);
  EXPECT_TRUE(parsed().pieces.empty());
}

TEST_F(JournalTest, TheJournalOfAnotherFileIsRefused) {
  EXPECT_EQ(parse_journal(text_, kFileBytes, "other").error().code(), Code::kCorrupt);
  EXPECT_EQ(parse_journal(text_, kFileBytes + 1, kId).error().code(), Code::kCorrupt);
  EXPECT_EQ(parse_journal({}, kFileBytes, kId).error().code(), Code::kCorrupt);
}

TEST_F(JournalTest, ANewerVersionIsRefused) {
  text_[8] = std::byte{2};
  EXPECT_EQ(parse_journal(text_, kFileBytes, kId).error().code(), Code::kUnsupported);
}

TEST_F(JournalTest, AWriterAppendsWhatAReaderReads) {
  const testing::ScratchDirectory scratch;
  const auto files = io::real_file_system();
  auto file = files->create(scratch / "journal").value();
  ASSERT_TRUE(file->write_at(0, text_).ok());
  JournalWriter writer(std::move(file), end_);
  ASSERT_TRUE(writer.append({RecordKind::kPiece, 4, value(5)}).ok());
  ASSERT_TRUE(writer.append({RecordKind::kCheckpoint, writer.records(), {}}).ok());
  ASSERT_TRUE(writer.sync().ok());
  const auto bytes = io::read_file(*files, scratch / "journal", max_journal_bytes(kFileBytes));
  const Journal journal = parse_journal(*bytes, kFileBytes, kId).value();
  EXPECT_TRUE(journal.pieces.at(4).on_disk);
}

}  // namespace
}  // namespace weighbridge::store
