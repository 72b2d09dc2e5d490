#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weighbridge::base {

// Lower-case hexadecimal.
std::string to_hex(std::span<const std::byte> bytes);
// Fills `bytes` from exactly twice as many lower- or upper-case hex digits; false otherwise.
bool from_hex(std::string_view hex, std::span<std::byte> bytes);

// The decimal number `text` spells, digits only (no sign, no space), or nothing.
std::optional<std::uint64_t> parse_decimal(std::string_view text);

// Does `text` match the shell pattern? `*` any run of characters, also '/' and '.'; `?` one;
// `[a-z]`, `[!a]` one of a set; `\` takes the next character as it is. Linear in time for any
// pattern with one `*`, at worst text times pattern.
bool glob_match(std::string_view pattern, std::string_view text);

// Well-formed UTF-8 (no surrogates, no overlong forms)?
bool is_utf8(std::string_view text);

// For terminals and logs: control characters and bytes that are not UTF-8 become \xNN, so that a
// hostile name cannot move the cursor; at most `limit` bytes, then "...".
std::string printable(std::string_view text, std::size_t limit = 256);

// ASCII only: header names and hosts.
std::string to_lower(std::string_view text);
std::string_view trim(std::string_view text);
std::vector<std::string_view> split(std::string_view text, char separator);

}  // namespace weighbridge::base
