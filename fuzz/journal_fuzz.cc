// Whatever a journal says, its pieces are of the file, and its end lies inside it. Hardly any
// mutation keeps the chain of checks, so the input is also read as records to which they are made.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/check.h"
#include "hash/hash_tree.h"
#include "store/journal.h"

namespace {

using weighbridge::store::Journal;
using weighbridge::store::JournalEnd;
using weighbridge::store::JournalRecord;
using weighbridge::store::RecordKind;

constexpr std::uint64_t kFileBytes = 100 * weighbridge::hash::kPieceBytes + 1;

void check(std::span<const std::byte> text) {
  const auto journal = weighbridge::store::parse_journal(text, kFileBytes, "id");
  if (!journal.ok()) {
    return;
  }
  WB_CHECK(journal->end.bytes <= text.size(), "it ends inside the text");
  WB_CHECK(journal->pieces.size() <= journal->end.records, "each piece has a record");
  for (const auto& [piece, found] : journal->pieces) {
    WB_CHECK(piece < weighbridge::hash::piece_count(kFileBytes), "a piece of the file");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  check(input);
  std::vector<std::byte> text = weighbridge::store::journal_header(kFileBytes, "id");
  JournalEnd end = weighbridge::store::journal_end_of_header(text);
  for (std::size_t at = 0; at + 2 <= size; at += 2) {
    JournalRecord record;
    record.kind = static_cast<RecordKind>(data[at] % 5);
    record.number = data[at + 1];
    const auto bytes = weighbridge::store::journal_record(record, end);
    text.insert(text.end(), bytes.begin(), bytes.end());
  }
  check(text);
  return 0;
}
