#include "net/http_fields.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <limits>
#include <string>

#include <curl/curl.h>

#include "base/text.h"

namespace weighbridge::net {
namespace {

constexpr std::chrono::milliseconds kLongestRetryAfter = std::chrono::hours(24);
constexpr std::size_t kLongestDate = 64;

bool is_token_character(char c) {
  constexpr std::string_view kPunctuation = "!#$%&'*+-.^_`|~";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         kPunctuation.find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_character);
}

bool is_field_value(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7F;
  });
}

std::optional<base::Range> parse_byte_range(std::string_view text) {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) {
    return std::nullopt;
  }
  const auto first = base::parse_decimal(text.substr(0, dash));
  const auto last = base::parse_decimal(text.substr(dash + 1));
  if (!first || !last || *first > *last || *last == std::numeric_limits<std::uint64_t>::max()) {
    return std::nullopt;
  }
  return base::Range{*first, *last + 1};
}

}  // namespace

std::optional<int> parse_status_line(std::string_view line) {
  if (!line.starts_with("HTTP/")) {
    return std::nullopt;
  }
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view rest = line.substr(space + 1);
  const auto status = base::parse_decimal(rest.substr(0, 3));
  if (!status || *status < 100 || *status > 999 || (rest.size() > 3 && rest[3] != ' ')) {
    return std::nullopt;
  }
  return static_cast<int>(*status);
}

std::optional<HttpHeader> parse_header_line(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = base::trim(line.substr(colon + 1));
  if (!is_token(name) || !is_field_value(value)) {
    return std::nullopt;
  }
  return HttpHeader{base::to_lower(name), std::string(value)};
}

bool is_sendable(const HttpHeader& header) {
  return is_token(header.name) && is_field_value(header.value);
}

std::optional<ContentRange> parse_content_range(std::string_view value) {
  constexpr std::string_view kUnit = "bytes ";
  if (base::to_lower(value.substr(0, kUnit.size())) != kUnit) {
    return std::nullopt;
  }
  value = base::trim(value.substr(kUnit.size()));
  const std::size_t slash = value.find('/');
  if (slash == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view range = value.substr(0, slash);
  const std::string_view total = value.substr(slash + 1);
  ContentRange parsed;
  if (range != "*") {
    parsed.range = parse_byte_range(range);
  }
  if (total != "*") {
    parsed.total = base::parse_decimal(total);
  }
  const bool range_missing = range != "*" && !parsed.range;
  const bool total_missing = !parsed.total && (total != "*" || range == "*");
  if (range_missing || total_missing) {
    return std::nullopt;
  }
  if (parsed.range && parsed.total && parsed.range->end > *parsed.total) {
    return std::nullopt;
  }
  return parsed;
}

std::optional<std::uint64_t> parse_chunk_size(std::string_view line) {
  constexpr std::string_view kDigits = "0123456789abcdefABCDEF";
  constexpr std::size_t kMaxDigits = 16;
  const std::size_t digits = std::min(line.find_first_not_of(kDigits), line.size());
  std::string_view rest = line.substr(digits);
  if (digits == 0 || digits > kMaxDigits || !rest.ends_with("\r\n")) {
    return std::nullopt;
  }
  rest.remove_suffix(2);
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
  if (!is_field_value(rest) || (!rest.empty() && rest[0] != ';')) {
    return std::nullopt;
  }
  std::uint64_t size = 0;
  std::from_chars(line.data(), line.data() + digits, size, 16);
  return size;
}

std::string basic_credentials(std::string_view user, std::string_view password) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const std::string text = std::string(user).append(":").append(password);
  std::string encoded;
  for (std::size_t i = 0; i < text.size(); i += 3) {
    const auto byte = [&](std::size_t at) {
      return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U;
    };
    const std::uint32_t group = byte(i) << 16U | byte(i + 1) << 8U | byte(i + 2);
    for (std::size_t digit = 0; digit < 4; ++digit) {
      const bool padding = i + digit > text.size();
      encoded += padding ? '=' : kAlphabet[group >> (18 - 6 * digit) & 0x3FU];
    }
  }
  return encoded;
}

std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view value,
                                                           base::WallTime now) {
  if (!value.empty() && value.find_first_not_of("0123456789") == std::string_view::npos) {
    const auto seconds = base::parse_decimal(value);
    const auto longest = std::chrono::duration_cast<std::chrono::seconds>(kLongestRetryAfter);
    if (!seconds || *seconds >= static_cast<std::uint64_t>(longest.count())) {
      return kLongestRetryAfter;
    }
    return std::chrono::seconds(*seconds);
  }
  if (value.size() > kLongestDate || value.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  const std::time_t date = curl_getdate(std::string(value).c_str(), nullptr);
  if (date == -1) {
    return std::nullopt;
  }
  // Compared in whole seconds: a date of the year 9999 does not fit in nanoseconds.
  const std::time_t wait = date - std::chrono::system_clock::to_time_t(now);
  const std::time_t longest =
      std::chrono::duration_cast<std::chrono::seconds>(kLongestRetryAfter).count();
  return std::chrono::seconds(std::clamp<std::time_t>(wait, 0, longest));
}

}  // namespace weighbridge::net
