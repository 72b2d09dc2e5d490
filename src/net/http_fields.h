#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/range.h"
#include "net/http_client.h"

// The header fields of HTTP that we read, as pure functions of bytes that a stranger sent: whatever
// is not well-formed is nothing, never a guess. Thread-safe: there is no state.
namespace weighbridge::net {

// "HTTP/1.1 206 Partial Content" -> 206.
std::optional<int> parse_status_line(std::string_view line);

// "Name: value", without its line end; the name in lower case, the value trimmed. Nothing for a
// folded line, a name that is no token, or control characters in the value.
std::optional<HttpHeader> parse_header_line(std::string_view line);

// May a header of that name and value be sent? Refuses what would smuggle in a second one.
bool is_sendable(const HttpHeader& header);

// What follows "Basic " where a user authenticates.
std::string basic_credentials(std::string_view user, std::string_view password);

// "bytes 0-99/1000", "bytes 0-99/*" or "bytes */1000".
struct ContentRange {
  std::optional<base::Range> range;    // never empty
  std::optional<std::uint64_t> total;  // never less than the range's end
};

std::optional<ContentRange> parse_content_range(std::string_view value);

// "1a2b\r\n" or "1a2b;extension\r\n": at most 16 digits, and the line ends in CRLF to the letter.
std::optional<std::uint64_t> parse_chunk_size(std::string_view line);

// Seconds or an HTTP date, seen from `now`; at least 0, at most a day.
std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view value,
                                                           base::WallTime now);

}  // namespace weighbridge::net
