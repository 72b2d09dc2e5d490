#include "store/record_text.h"

#include <array>
#include <charconv>

#include <fmt/format.h>

#include "base/text.h"
#include "hash/hash_tree.h"

namespace weighbridge::store {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr std::string_view kNone = "-";
constexpr std::string_view kInValues = "._-/:\"";

bool is_plain(char c, std::string_view others) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         others.find(c) != std::string_view::npos;
}

std::string sum_line(std::string_view text) {
  return fmt::format("sum {}\n", hash::hash_bytes(std::as_bytes(std::span(text))).hex());
}

}  // namespace

std::string escape_record_text(std::string_view text, std::string_view others) {
  std::string escaped;
  for (const char c : text) {
    if (is_plain(c, others)) {
      escaped += c;
    } else {
      escaped += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return escaped;
}

std::string value_of(std::string_view text) {
  if (text.empty()) {
    return std::string(kNone);
  }
  return text == kNone ? "%2D" : escape_record_text(text, kInValues);
}

Error damaged_record(std::string_view what) {
  return Error(Code::kCorrupt, fmt::format("a record of the store is damaged: {}", what));
}

Result<std::string> text_of(std::string_view value) {
  if (value.empty()) {
    return damaged_record("a value is missing");
  }
  std::string text;
  for (std::size_t at = 0; at < value.size(); ++at) {
    if (value[at] != '%') {
      text += value[at];
      continue;
    }
    std::array<std::byte, 1> byte{};
    if (!base::from_hex(value.substr(at + 1, 2), byte)) {
      return damaged_record("an escape is malformed");
    }
    text += static_cast<char>(byte[0]);
    at += 2;
  }
  if (value == kNone) {
    text.clear();
  }
  if (value_of(text) != value) {
    return damaged_record("a value is not as it is written");
  }
  return text;
}

Result<std::uint64_t> number_of(std::string_view value) {
  const auto number = base::parse_decimal(value);
  if (!number || fmt::format("{}", *number) != value) {
    return damaged_record("a number is malformed");
  }
  return *number;
}

Result<std::int64_t> signed_number_of(std::string_view value) {
  std::int64_t number = 0;
  const auto read = std::from_chars(value.data(), value.data() + value.size(), number);
  if (read.ec != std::errc() || fmt::format("{}", number) != value) {
    return damaged_record("a number is malformed");
  }
  return number;
}

Result<std::string_view> RecordLines::take(std::string_view key) {
  const std::size_t end = text_.find('\n');
  if (!starts_with(key) || end == std::string_view::npos) {
    return damaged_record(fmt::format("the line '{}' is missing", key));
  }
  const std::string_view value = text_.substr(key.size() + 1, end - key.size() - 1);
  text_.remove_prefix(end + 1);
  return value;
}

Result<RecordLines> open_record(std::span<const std::byte> bytes, std::string_view first_line) {
  const std::string_view whole(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::size_t sum_at = whole.rfind("sum ");
  if (!whole.starts_with(first_line) || sum_at == std::string_view::npos ||
      sum_at < first_line.size() || whole.substr(sum_at) != sum_line(whole.substr(0, sum_at))) {
    return damaged_record("it is none, or its sum is another");
  }
  return RecordLines(whole.substr(first_line.size(), sum_at - first_line.size()));
}

std::vector<std::byte> close_record(std::string text) {
  text += sum_line(text);
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

}  // namespace weighbridge::store
