#include "formats/json_cursor.h"

#include <charconv>
#include <cstring>
#include <system_error>

#include <fmt/format.h>

#include "base/text.h"

namespace weighbridge::formats {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr std::string_view kDigits = "0123456789";
constexpr std::size_t kMostSafeDigits = 19;  // of a number below 2^64
constexpr std::string_view kNumberCharacters = "+-.0123456789Ee";
constexpr std::size_t kShownBytes = 32;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_between(std::uint32_t value, std::uint32_t low, std::uint32_t high) {
  return value >= low && value <= high;
}

bool is_number_character(char c) {
  return is_digit(c) || c == '+' || c == '-' || c == '.' || c == 'E' || c == 'e';
}

// How many characters of a string, from its front, stand for themselves and are ASCII. Eight at a
// time: a header is mostly this.
std::size_t count_plain(std::string_view text) {
  constexpr std::uint64_t kOnes = 0x0101010101010101U;
  constexpr std::uint64_t kHighBits = kOnes * 0x80U;
  const auto holds_zero = [](std::uint64_t word) { return (word - kOnes) & ~word & kHighBits; };
  const auto is_plain = [](char c) {
    return c != '"' && c != '\\' && is_between(static_cast<unsigned char>(c), 0x20, 0x7F);
  };
  std::size_t at = 0;
  for (std::uint64_t word = 0; at + sizeof(word) <= text.size(); at += sizeof(word)) {
    std::memcpy(&word, text.data() + at, sizeof(word));
    const std::uint64_t controls = (word - kOnes * 0x20U) & ~word & kHighBits;
    if ((holds_zero(word ^ (kOnes * '"')) | holds_zero(word ^ (kOnes * '\\')) | controls |
         (word & kHighBits)) != 0) {
      break;
    }
  }
  while (at < text.size() && is_plain(text[at])) {
    ++at;
  }
  return at;
}

void append_utf8(std::string& out, std::uint32_t point) {
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  const auto tail = [&](unsigned shift) { put(0x80U | ((point >> shift) & 0x3FU)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xC0U | (point >> 6U));
    tail(0);
  } else if (point < 0x10000) {
    put(0xE0U | (point >> 12U));
    tail(6);
    tail(0);
  } else {
    put(0xF0U | (point >> 18U));
    tail(12);
    tail(6);
    tail(0);
  }
}

// The character that `\c` stands for; 0 if none.
char simple_escape(char c) {
  constexpr std::string_view kLetters = "\"\\/bfnrt";
  constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
  const std::size_t which = kLetters.find(c);
  return which == std::string_view::npos ? '\0' : kMeanings[which];
}

std::size_t count_digits(std::string_view text) {
  const std::size_t end = text.find_first_not_of(kDigits);
  return end == std::string_view::npos ? text.size() : end;
}

// Is `token` a JSON number: -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?
bool is_number(std::string_view token) {
  if (token.starts_with('-')) {
    token.remove_prefix(1);
  }
  const std::size_t whole = count_digits(token);
  if (whole == 0 || (whole > 1 && token[0] == '0')) {
    return false;
  }
  token.remove_prefix(whole);
  if (token.starts_with('.')) {
    token.remove_prefix(1);
    const std::size_t fraction = count_digits(token);
    if (fraction == 0) {
      return false;
    }
    token.remove_prefix(fraction);
  }
  if (token.empty()) {
    return true;
  }
  if (token[0] != 'e' && token[0] != 'E') {
    return false;
  }
  token.remove_prefix(1);
  if (token.starts_with('+') || token.starts_with('-')) {
    token.remove_prefix(1);
  }
  return !token.empty() && count_digits(token) == token.size();
}

}  // namespace

std::string_view JsonCursor::found() {
  skip_space();
  if (at_ == text_.size()) {
    return "the end of the text";
  }
  switch (text_[at_]) {
    case '{':
      return "an object";
    case '[':
      return "an array";
    case '"':
      return "a string";
    case 't':
    case 'f':
      return "a boolean";
    case 'n':
      return "null";
    default:
      return is_digit(text_[at_]) || text_[at_] == '-' ? "a number" : "a stray character";
  }
}

Error JsonCursor::fault(std::size_t at, std::string message) const {
  return Error(Code::kCorrupt, std::move(message)).at(origin_ + at);
}

Error JsonCursor::expected(std::string_view what) {
  const std::string_view kind = found();
  return fault(at_, fmt::format("expected {}, found {}", what, kind));
}

Result<void> JsonCursor::open(char token, std::string_view what) {
  if (!take(token)) {
    return expected(what);
  }
  if (depth_ == kMaxDepth) {
    return fault(at_ - 1, fmt::format("the JSON nests deeper than {}", kMaxDepth));
  }
  ++depth_;
  return {};
}

Result<bool> JsonCursor::more(char close) {
  if (take(',')) {
    return true;
  }
  if (take(close)) {
    return false;
  }
  return expected(close == '}' ? "',' or '}'" : "',' or ']'");
}

Result<std::string_view> JsonCursor::member_key(std::string& unescaped) {
  skip_space();
  if (at_ == text_.size() || text_[at_] != '"') {
    return expected("a member's name");
  }
  const std::string_view key = TRY(string(unescaped));
  if (!take(':')) {
    return expected("':'");
  }
  return key;
}

Result<std::string_view> JsonCursor::string(std::string& unescaped) {
  if (!take('"')) {
    return expected("a string");
  }
  const std::size_t begin = at_;
  at_ += count_plain(text_.substr(at_));
  if (at_ < text_.size() && text_[at_] == '"') {
    return text_.substr(begin, at_++ - begin);
  }
  return rest_of_string(begin, unescaped);
}

Result<std::string_view> JsonCursor::rest_of_string(std::size_t begin, std::string& unescaped) {
  unescaped = text_.substr(begin, at_ - begin);
  for (;;) {
    std::size_t plain = at_;
    while (plain < text_.size() && text_[plain] != '"' && text_[plain] != '\\' &&
           static_cast<unsigned char>(text_[plain]) >= 0x20) {
      ++plain;
    }
    unescaped += text_.substr(at_, plain - at_);
    at_ = plain;
    if (at_ == text_.size()) {
      return fault(begin - 1, "a string that is not closed");
    }
    if (text_[at_] == '"') {
      ++at_;
      break;
    }
    if (text_[at_] != '\\') {
      return fault(at_, "a control character in a string");
    }
    TRY(escape(unescaped));
  }
  if (!base::is_utf8(unescaped)) {
    return fault(begin - 1, "a string that is not UTF-8");
  }
  return std::string_view(unescaped);
}

Result<void> JsonCursor::escape(std::string& out) {
  const std::size_t begin = at_++;
  const char letter = at_ < text_.size() ? text_[at_++] : '\0';
  if (const char plain = simple_escape(letter); plain != '\0') {
    out += plain;
    return {};
  }
  if (letter != 'u') {
    return fault(begin, "an unknown escape in a string");
  }
  std::uint32_t point = TRY(hex4());
  if (is_between(point, 0xD800, 0xDBFF) && text_.substr(at_).starts_with("\\u")) {
    at_ += 2;
    const std::uint32_t low = TRY(hex4());
    if (!is_between(low, 0xDC00, 0xDFFF)) {
      return fault(begin, "half a surrogate pair in a string");
    }
    point = 0x10000 + ((point - 0xD800) << 10U) + (low - 0xDC00);
  }
  if (is_between(point, 0xD800, 0xDFFF)) {
    return fault(begin, "half a surrogate pair in a string");
  }
  append_utf8(out, point);
  return {};
}

Result<std::uint32_t> JsonCursor::hex4() {
  const std::string_view digits = text_.substr(at_, 4);
  std::uint32_t value = 0;
  const auto [end, problem] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (digits.size() < 4 || problem != std::errc() || end != digits.data() + 4) {
    return fault(at_, "expected four hexadecimal digits after \\u");
  }
  at_ += 4;
  return value;
}

Result<std::uint64_t> JsonCursor::unsigned_integer() {
  skip_space();
  std::uint64_t plain = 0;
  std::size_t digits_end = at_;
  for (; digits_end < text_.size() && is_digit(text_[digits_end]); ++digits_end) {
    plain = plain * 10 + static_cast<std::uint64_t>(text_[digits_end] - '0');
  }
  const std::size_t digits = digits_end - at_;
  const bool is_plain = digits > 0 && digits <= kMostSafeDigits &&
                        (text_[at_] != '0' || digits == 1) && digits_end < text_.size() &&
                        !is_number_character(text_[digits_end]);
  if (is_plain) {
    at_ = digits_end;
    return plain;
  }
  const std::size_t end = text_.find_first_not_of(kNumberCharacters, at_);
  const std::string_view token = text_.substr(at_, end == std::string_view::npos ? end : end - at_);
  if (token.empty()) {
    return expected("a non-negative integer");
  }
  const auto value = base::parse_decimal(token);
  if (!value || !is_number(token)) {
    return fault(at_,
                 fmt::format("expected a non-negative integer below 2^64, found {}",
                             base::printable(token, kShownBytes)));
  }
  at_ += token.size();
  return *value;
}

Result<void> JsonCursor::skip() {
  skip_space();
  switch (at_ < text_.size() ? text_[at_] : '\0') {
    case '{':
      return each_member([&](std::string_view, std::uint64_t) { return skip(); });
    case '[':
      return each_element([&] { return skip(); });
    case '"': {
      std::string unescaped;
      TRY(string(unescaped));
      return {};
    }
    case 't':
    case 'f':
    case 'n':
      return skip_word();
    default:
      return skip_number();
  }
}

Result<void> JsonCursor::skip_word() {
  for (const std::string_view word : {"true", "false", "null"}) {
    if (text_.substr(at_).starts_with(word)) {
      at_ += word.size();
      return {};
    }
  }
  return fault(at_, "expected a value, found a word that is not true, false or null");
}

Result<void> JsonCursor::skip_number() {
  const std::size_t end = text_.find_first_not_of(kNumberCharacters, at_);
  const std::string_view token = text_.substr(at_, end == std::string_view::npos ? end : end - at_);
  if (token.empty()) {
    return expected("a value");
  }
  if (!is_number(token)) {
    return fault(at_,
                 fmt::format("expected a number, found {}", base::printable(token, kShownBytes)));
  }
  double value = 0;
  const auto parsed = std::from_chars(token.data(), token.data() + token.size(), value);
  if (parsed.ec != std::errc()) {
    return fault(at_,
                 fmt::format("a number that a double does not hold: {}",
                             base::printable(token, kShownBytes)));
  }
  at_ += token.size();
  return {};
}

}  // namespace weighbridge::formats
