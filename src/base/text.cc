#include "base/text.h"

#include <charconv>

namespace weighbridge::base {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') {
    return digit - '0';
  }
  if (digit >= 'a' && digit <= 'f') {
    return digit - 'a' + 10;
  }
  if (digit >= 'A' && digit <= 'F') {
    return digit - 'A' + 10;
  }
  return -1;
}

// Length of the well-formed UTF-8 sequence at the front of `text` (Unicode 15, table 3-7); 0 if
// there is none.
std::size_t utf8_length(std::string_view text) {
  const auto at = [&](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto within = [](unsigned byte, unsigned low, unsigned high) {
    return byte >= low && byte <= high;
  };
  const unsigned first = at(0);
  if (first < 0x80) {
    return 1;
  }
  if (within(first, 0xC2, 0xDF)) {
    return within(at(1), 0x80, 0xBF) ? 2 : 0;
  }
  if (within(first, 0xE0, 0xEF)) {
    const unsigned low = first == 0xE0 ? 0xA0 : 0x80;
    const unsigned high = first == 0xED ? 0x9F : 0xBF;
    return within(at(1), low, high) && within(at(2), 0x80, 0xBF) ? 3 : 0;
  }
  if (within(first, 0xF0, 0xF4)) {
    const unsigned low = first == 0xF0 ? 0x90 : 0x80;
    const unsigned high = first == 0xF4 ? 0x8F : 0xBF;
    const bool tail = within(at(2), 0x80, 0xBF) && within(at(3), 0x80, 0xBF);
    return within(at(1), low, high) && tail ? 4 : 0;
  }
  return 0;
}

// One element of a pattern against one character. Sets `used` to the element's length.
bool match_one(std::string_view pattern, char character, std::size_t& used) {
  used = 1;
  if (pattern[0] == '?') {
    return true;
  }
  if (pattern[0] == '\\' && pattern.size() > 1) {
    used = 2;
    return pattern[1] == character;
  }
  const std::size_t first = pattern.size() > 1 && pattern[1] == '!' ? 2 : 1;
  const std::size_t end = pattern[0] == '[' ? pattern.find(']', first + 1) : std::string_view::npos;
  if (end == std::string_view::npos) {
    return pattern[0] == character;  // also a '[' that is never closed
  }
  used = end + 1;
  bool found = false;
  for (std::size_t i = first; i < end; ++i) {
    const bool is_range = i + 2 < end && pattern[i + 1] == '-';
    const char low = pattern[i];
    const char high = is_range ? pattern[i + 2] : low;
    found = found || (character >= low && character <= high);
    i += is_range ? 2 : 0;
  }
  return found != (first == 2);
}

}  // namespace

std::string to_hex(std::span<const std::byte> bytes) {
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (const std::byte byte : bytes) {
    hex += kHexDigits[std::to_integer<std::size_t>(byte >> 4)];
    hex += kHexDigits[std::to_integer<std::size_t>(byte & std::byte{15})];
  }
  return hex;
}

bool from_hex(std::string_view hex, std::span<std::byte> bytes) {
  if (hex.size() != bytes.size() * 2) {
    return false;
  }
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const int high = hex_value(hex[2 * i]);
    const int low = hex_value(hex[2 * i + 1]);
    if (high < 0 || low < 0) {
      return false;
    }
    bytes[i] = static_cast<std::byte>(high * 16 + low);
  }
  return true;
}

std::optional<std::uint64_t> parse_decimal(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

bool glob_match(std::string_view pattern, std::string_view text) {
  std::size_t in_pattern = 0;
  std::size_t in_text = 0;
  std::optional<std::size_t> star;  // the last '*', to come back to with one more character
  std::size_t star_text = 0;
  while (in_text < text.size()) {
    if (in_pattern < pattern.size() && pattern[in_pattern] == '*') {
      star = in_pattern++;
      star_text = in_text;
      continue;
    }
    std::size_t used = 0;
    if (in_pattern < pattern.size() && match_one(pattern.substr(in_pattern), text[in_text], used)) {
      in_pattern += used;
      ++in_text;
      continue;
    }
    if (!star) {
      return false;
    }
    in_pattern = *star + 1;
    in_text = ++star_text;
  }
  while (in_pattern < pattern.size() && pattern[in_pattern] == '*') {
    ++in_pattern;
  }
  return in_pattern == pattern.size();
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) {
      return false;
    }
    text.remove_prefix(length);
  }
  return true;
}

std::string printable(std::string_view text, std::size_t limit) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const auto first = static_cast<unsigned char>(text[0]);
    // C1 controls (U+0080..U+009F) move terminals too.
    const bool control =
        first < 0x20 || first == 0x7F ||
        (length == 2 && first == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0);
    if (out.size() >= limit) {
      return out + "...";
    }
    if (length == 0 || control) {
      out += "\\x";
      out += kHexDigits[first >> 4U];
      out += kHexDigits[first & 15U];
      text.remove_prefix(1);
      continue;
    }
    out += text.substr(0, length);
    text.remove_prefix(length);
  }
  return out;
}

std::string to_lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') {
      c = static_cast<char>(c - 'A' + 'a');
    }
  }
  return lower;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) {
    return {};
  }
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) {
      return parts;
    }
    text.remove_prefix(end + 1);
  }
}

}  // namespace weighbridge::base
