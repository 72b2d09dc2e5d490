#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weighbridge::formats {

// Reads a JSON text (RFC 8259) from front to back, one value at a time, as its caller expects them.
// Unlike a document it copies and stores nothing, so a header of 100 MB costs no memory of its own,
// and it knows where it stands, so every error carries the offset of the text at fault.
// Every failure is kCorrupt. Confined; borrows the text, and what it returns stands in it.
class JsonCursor {
 public:
  // Containers that may stand in one another, as in the `safetensors` package.
  static constexpr int kMaxDepth = 127;

  // `origin`: where in its file the text begins.
  JsonCursor(std::string_view text, std::uint64_t origin) : text_(text), origin_(origin) {}

  // Where the next token begins, in the file.
  std::uint64_t offset() {
    skip_space();
    return origin_ + at_;
  }

  // What stands next, for messages: "a string", "a number", "the end of the text", ...
  std::string_view found();

  // A string, its escapes resolved: well-formed UTF-8. It stands in the text, or in `unescaped`
  // where it has escapes.
  base::Result<std::string_view> string(std::string& unescaped);

  // Digits only: no sign, no fraction, no exponent, no leading zero; below 2^64.
  base::Result<std::uint64_t> unsigned_integer();

  // Any one value, checked and ignored.
  base::Result<void> skip();

  // Calls `visit(std::string_view key, std::uint64_t key_offset)` for each member of an object, in
  // order, duplicates included. The visitor reads the value; the key is valid until it returns.
  // Stops at its first error.
  template <typename Visit>
  base::Result<void> each_member(Visit&& visit);

  // Calls `visit()` for each element of an array; the visitor reads it.
  template <typename Visit>
  base::Result<void> each_element(Visit&& visit);

  // What is left of the text, white space and all.
  std::string_view rest() const { return text_.substr(at_); }

 private:
  base::Error expected(std::string_view what);
  base::Error fault(std::size_t at, std::string message) const;

  // Here and not with the rest: there is nothing to skip in most places, and there are many.
  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) {
      ++at_;
    }
  }

  // Takes `token` if it stands next.
  bool take(char token) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != token) {
      return false;
    }
    ++at_;
    return true;
  }

  base::Result<void> open(char token, std::string_view what);
  // After an element: true if another follows, false if `close` ended the container.
  base::Result<bool> more(char close);
  base::Result<std::string_view> member_key(std::string& unescaped);
  // From its first character that does not stand for itself on; it began at `begin`.
  base::Result<std::string_view> rest_of_string(std::size_t begin, std::string& unescaped);
  base::Result<void> escape(std::string& out);
  base::Result<std::uint32_t> hex4();
  base::Result<void> skip_number();
  base::Result<void> skip_word();

  std::string_view text_;
  std::uint64_t origin_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

template <typename Visit>
base::Result<void> JsonCursor::each_member(Visit&& visit) {
  TRY(open('{', "an object"));
  std::string unescaped;
  for (bool any = !take('}'); any; any = TRY(more('}'))) {
    const std::uint64_t key_offset = offset();
    const std::string_view key = TRY(member_key(unescaped));
    TRY(visit(key, key_offset));
  }
  --depth_;
  return {};
}

template <typename Visit>
base::Result<void> JsonCursor::each_element(Visit&& visit) {
  TRY(open('[', "an array"));
  for (bool any = !take(']'); any; any = TRY(more(']'))) {
    TRY(visit());
  }
  --depth_;
  return {};
}

}  // namespace weighbridge::formats
