#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "hash/digest.h"
#include "io/file_system.h"

namespace weighbridge::store {

// The journal of a partial file, as bytes (docs/formats/journal.md).
inline constexpr std::uint32_t kJournalVersion = 1;
inline constexpr std::uint64_t kCheckpointBytes = 256ULL * 1024 * 1024;
inline constexpr std::size_t kJournalHeaderBytes = 64;
inline constexpr std::size_t kJournalRecordBytes = 56;

enum class RecordKind : std::uint32_t { kPiece = 1, kCheckpoint = 2, kSession = 3 };

struct JournalRecord {
  RecordKind kind = RecordKind::kPiece;
  std::uint64_t number = 0;
  hash::ChainingValue value;
};

// Where a journal stands: what the next record is chained to.
struct JournalEnd {
  std::uint64_t bytes = 0;
  std::uint64_t records = 0;
  std::uint64_t check = 0;
};

struct JournalPiece {
  hash::ChainingValue value;
  bool on_disk = false;  // covered by a checkpoint: to be believed after a power loss
};

struct Journal {
  std::map<std::uint64_t, JournalPiece> pieces;
  JournalEnd end;
};

// The header, and the place after it.
std::vector<std::byte> journal_header(std::uint64_t file_bytes, std::string_view id);
// The record that goes to `end`, which moves behind it.
std::vector<std::byte> journal_record(const JournalRecord& record, JournalEnd& end);
JournalEnd journal_end_of_header(std::span<const std::byte> header);

// No journal that is read is longer than this.
std::uint64_t max_journal_bytes(std::uint64_t file_bytes);

// What a journal says, up to its first bad record. kCorrupt for a header that is not the one of
// this file, kUnsupported for a newer version.
base::Result<Journal> parse_journal(std::span<const std::byte> bytes,
                                    std::uint64_t file_bytes,
                                    std::string_view id);

// Appends to a journal. Confined to who holds the lock on its data file, one thread at a time.
class JournalWriter {
 public:
  // `end`: where the journal that stands in `file` ends, as far as it is to be believed.
  JournalWriter(std::unique_ptr<io::OpenFile> file, JournalEnd end)
      : file_(std::move(file)), end_(end) {}

  // After a failure the record is not there, and the next one may take its place.
  base::Result<void> append(const JournalRecord& record);

  base::Result<void> sync() { return file_->sync(); }

  std::uint64_t records() const { return end_.records; }

 private:
  std::unique_ptr<io::OpenFile> file_;
  JournalEnd end_;
};

}  // namespace weighbridge::store
