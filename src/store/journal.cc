#include "store/journal.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include <fmt/format.h>

#include "hash/hash_tree.h"

namespace weighbridge::store {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr std::array kMagic = {std::byte{0x89},
                               std::byte{'W'},
                               std::byte{'B'},
                               std::byte{'J'},
                               std::byte{'R'},
                               std::byte{'N'},
                               std::byte{'L'},
                               std::byte{'\n'}};
constexpr std::size_t kCheckBytes = 8;
constexpr std::size_t kVersionAt = 8;
constexpr std::size_t kSizeAt = 16;
constexpr std::size_t kIdAt = 24;
constexpr std::size_t kNumberAt = 8;
constexpr std::size_t kValueAt = 16;
constexpr std::size_t kDigestBytes = 32;

template <typename Number>
void put(std::span<std::byte> into, Number number) {
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    into[i] = static_cast<std::byte>((number >> (8 * i)) & 0xFFU);
  }
}

template <typename Number>
Number get(std::span<const std::byte> from) {
  Number number = 0;
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    number |= std::to_integer<Number>(from[i]) << (8 * i);
  }
  return number;
}

std::uint64_t check_of(std::span<const std::byte> bytes) {
  return get<std::uint64_t>(hash::hash_bytes(bytes).bytes);
}

// Of a record's first bytes, chained to the check before.
std::uint64_t check_of(std::uint64_t before, std::span<const std::byte> record) {
  std::array<std::byte, kCheckBytes + kJournalRecordBytes - kCheckBytes> bytes{};
  put(std::span(bytes), before);
  std::ranges::copy(record, bytes.begin() + kCheckBytes);
  return check_of(bytes);
}

bool is_kind(std::uint32_t kind) {
  return kind >= static_cast<std::uint32_t>(RecordKind::kPiece) &&
         kind <= static_cast<std::uint32_t>(RecordKind::kSession);
}

// The record that stands at the end of what has been read; nothing if it is none.
std::optional<JournalRecord> read_record(std::span<const std::byte> bytes, const JournalEnd& end) {
  if (bytes.size() - end.bytes < kJournalRecordBytes) {
    return std::nullopt;
  }
  const auto text = bytes.subspan(end.bytes, kJournalRecordBytes);
  const auto signed_part = text.first(kJournalRecordBytes - kCheckBytes);
  const auto kind = get<std::uint32_t>(text);
  const bool holds =
      get<std::uint64_t>(text.subspan(signed_part.size())) == check_of(end.check, signed_part);
  if (!holds || !is_kind(kind) || get<std::uint32_t>(text.subspan(4)) != 0) {
    return std::nullopt;
  }
  JournalRecord record;
  record.kind = static_cast<RecordKind>(kind);
  record.number = get<std::uint64_t>(text.subspan(kNumberAt));
  std::ranges::copy(text.subspan(kValueAt, kDigestBytes), record.value.bytes.begin());
  return record;
}

Result<void> check_header(std::span<const std::byte> bytes,
                          std::uint64_t file_bytes,
                          std::string_view id) {
  if (bytes.size() < kJournalHeaderBytes ||
      !std::ranges::equal(bytes.first(kMagic.size()), kMagic)) {
    return Error(Code::kCorrupt, "this is no journal");
  }
  const auto version = get<std::uint32_t>(bytes.subspan(kVersionAt));
  if (version != kJournalVersion) {
    return Error(Code::kUnsupported, fmt::format("a journal of version {}", version));
  }
  if (!std::ranges::equal(bytes.first(kJournalHeaderBytes), journal_header(file_bytes, id))) {
    return Error(Code::kCorrupt, "the journal is damaged, or of another file");
  }
  return {};
}

}  // namespace

std::vector<std::byte> journal_header(std::uint64_t file_bytes, std::string_view id) {
  std::vector<std::byte> header(kJournalHeaderBytes);
  const std::span text(header);
  std::ranges::copy(kMagic, header.begin());
  put(text.subspan(kVersionAt), kJournalVersion);
  put(text.subspan(kSizeAt), file_bytes);
  std::ranges::copy(hash::hash_bytes(std::as_bytes(std::span(id))).bytes, header.begin() + kIdAt);
  const auto signed_part = text.first(kJournalHeaderBytes - kCheckBytes);
  put(text.subspan(signed_part.size()), check_of(signed_part));
  return header;
}

JournalEnd journal_end_of_header(std::span<const std::byte> header) {
  return {kJournalHeaderBytes,
          0,
          get<std::uint64_t>(header.subspan(kJournalHeaderBytes - kCheckBytes))};
}

std::vector<std::byte> journal_record(const JournalRecord& record, JournalEnd& end) {
  std::vector<std::byte> bytes(kJournalRecordBytes);
  const std::span text(bytes);
  put(text, static_cast<std::uint32_t>(record.kind));
  put(text.subspan(kNumberAt), record.number);
  std::ranges::copy(record.value.bytes, bytes.begin() + kValueAt);
  const auto signed_part = text.first(kJournalRecordBytes - kCheckBytes);
  end.check = check_of(end.check, signed_part);
  put(text.subspan(signed_part.size()), end.check);
  end.bytes += kJournalRecordBytes;
  ++end.records;
  return bytes;
}

std::uint64_t max_journal_bytes(std::uint64_t file_bytes) {
  // Every piece some times, and some thousand sessions: more is no honest journal.
  constexpr std::uint64_t kTimes = 4;
  constexpr std::uint64_t kSessions = 16'384;
  return kJournalHeaderBytes +
         kJournalRecordBytes * (kTimes * hash::piece_count(file_bytes) + kSessions);
}

Result<Journal> parse_journal(std::span<const std::byte> bytes,
                              std::uint64_t file_bytes,
                              std::string_view id) {
  TRY(check_header(bytes, file_bytes, id));
  const std::uint64_t pieces = hash::piece_count(file_bytes);
  Journal journal;
  journal.end = journal_end_of_header(bytes);
  std::map<std::uint64_t, std::uint64_t> record_of;  // piece to the record that says what it is
  std::uint64_t covered = 0;
  while (const auto record = read_record(bytes, journal.end)) {
    const bool is_piece = record->kind == RecordKind::kPiece;
    const bool is_checkpoint = record->kind == RecordKind::kCheckpoint;
    if ((is_piece && record->number >= pieces) ||
        (is_checkpoint && record->number > journal.end.records)) {
      break;
    }
    if (is_piece) {
      journal.pieces[record->number] = {record->value, false};
      record_of[record->number] = journal.end.records;
    } else if (is_checkpoint) {
      covered = std::max(covered, record->number);
    }
    journal_record(*record, journal.end);
  }
  for (auto& [piece, found] : journal.pieces) {
    found.on_disk = record_of[piece] < covered;
  }
  return journal;
}

Result<void> JournalWriter::append(const JournalRecord& record) {
  JournalEnd behind = end_;
  const std::vector<std::byte> bytes = journal_record(record, behind);
  TRY(file_->write_at(end_.bytes, bytes));
  end_ = behind;
  return {};
}

}  // namespace weighbridge::store
