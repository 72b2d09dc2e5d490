#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weighbridge::store {

// The records of a store as text (docs/formats/store.md): a first line that says what it is, lines
// `<key> <value...>`, a sum. Every function that reads one fails with kCorrupt for anything that
// the writing one would not have written.

// Letters, digits and the bytes of `others` stand for themselves, every other byte is %XX.
std::string escape_record_text(std::string_view text, std::string_view others);

// A value: empty is "-", hence "-" is escaped.
std::string value_of(std::string_view text);

template <typename Digest>
std::string value_of(const std::optional<Digest>& digest) {
  return digest ? digest->hex() : "-";
}

base::Error damaged_record(std::string_view what);

base::Result<std::string> text_of(std::string_view value);
base::Result<std::uint64_t> number_of(std::string_view value);
// May be negative.
base::Result<std::int64_t> signed_number_of(std::string_view value);

template <typename Digest>
base::Result<std::optional<Digest>> digest_of(std::string_view value) {
  if (value == "-") {
    return std::optional<Digest>();
  }
  auto digest = Digest::from_hex(value);
  return digest ? base::Result<std::optional<Digest>>(digest)
                : damaged_record("a digest is malformed");
}

// Reads lines `<key> <value...>\n` from front to back. Confined; borrows the text.
class RecordLines {
 public:
  explicit RecordLines(std::string_view text) : text_(text) {}

  bool starts_with(std::string_view key) const {
    return text_.starts_with(key) && text_.substr(key.size()).starts_with(' ');
  }

  // The value of the next line, which has this key.
  base::Result<std::string_view> take(std::string_view key);

  bool done() const { return text_.empty(); }

 private:
  std::string_view text_;
};

// What stands between the first line and the sum, which is right. Borrows `bytes`.
base::Result<RecordLines> open_record(std::span<const std::byte> bytes,
                                      std::string_view first_line);
// With its sum behind it.
std::vector<std::byte> close_record(std::string text);

}  // namespace weighbridge::store
