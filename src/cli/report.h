#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "base/json_writer.h"
#include "hash/digest.h"

namespace weighbridge::cli {

// How errors, digests and rates are written, for people and as JSON. No function here prints.

// "weighbridge: <message>", then file, offset and hint, a line each; safe for a terminal.
std::string error_text(const base::Error& error);
// One object and a newline: {code, message, file?, offset?, hint?}.
std::string error_json(const base::Error& error);
// The same members, inside an object that the caller has begun.
void error_members(base::JsonWriter& json, const base::Error& error);

// One object with those members, and a newline.
std::string json_object(const std::function<void(base::JsonWriter& json)>& members);
void text_member(base::JsonWriter& json, std::string_view key, std::string_view value);
// Null where it is empty.
void text_or_null(base::JsonWriter& json, std::string_view key, std::string_view value);
void number_member(base::JsonWriter& json, std::string_view key, std::uint64_t value);
void boolean_member(base::JsonWriter& json, std::string_view key, bool value);

// An array of objects: `members` writes those of one.
template <typename Values, typename Members>
void objects_member(base::JsonWriter& json,
                    std::string_view key,
                    const Values& values,
                    Members&& members) {
  json.key(key);
  json.begin_array();
  for (const auto& value : values) {
    json.begin_object();
    members(value);
    json.end_object();
  }
  json.end_array();
}

// The root's hexadecimal digits, or null while it is not known.
void root_or_null(base::JsonWriter& json, const std::optional<hash::Root>& root);
void shape(base::JsonWriter& json, std::span<const std::uint64_t> dimensions);

double seconds(base::Duration duration);
// "86.7 MiB in 0.12 s (722 MiB/s)".
std::string bytes_in(std::uint64_t bytes, base::Duration duration);
// "1 tensor", "2 tensors".
std::string counted(std::uint64_t count, std::string_view noun);
// "2026-01-31T23:59:00Z".
std::string utc_time(std::uint64_t seconds_since_1970);

}  // namespace weighbridge::cli
