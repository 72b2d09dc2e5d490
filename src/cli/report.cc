#include "cli/report.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"

namespace weighbridge::cli {
namespace {

constexpr std::size_t kMaxMessageBytes = 16 * base::kKiB;

}  // namespace

std::string error_text(const base::Error& error) {
  std::string text =
      fmt::format("weighbridge: {}\n", base::printable(error.message(), kMaxMessageBytes));
  if (error.file()) {
    text += fmt::format("  file: {}\n", base::printable(*error.file(), kMaxMessageBytes));
  }
  if (error.offset()) {
    text += fmt::format("  offset: {}\n", *error.offset());
  }
  if (!error.hint().empty()) {
    text += fmt::format("  {}\n", base::printable(error.hint(), kMaxMessageBytes));
  }
  return text;
}

std::string error_json(const base::Error& error) {
  return json_object([&](base::JsonWriter& json) { error_members(json, error); });
}

void error_members(base::JsonWriter& json, const base::Error& error) {
  json.key("code");
  json.text(base::facts(error.code()).name);
  json.key("message");
  json.text(error.message());
  if (error.file()) {
    json.key("file");
    json.text(*error.file());
  }
  if (error.offset()) {
    json.key("offset");
    json.number(*error.offset());
  }
  if (!error.hint().empty()) {
    json.key("hint");
    json.text(error.hint());
  }
}

std::string json_object(const std::function<void(base::JsonWriter& json)>& members) {
  std::string text;
  base::JsonWriter json(text);
  json.begin_object();
  members(json);
  json.end_object();
  return text + "\n";
}

void text_member(base::JsonWriter& json, std::string_view key, std::string_view value) {
  json.key(key);
  json.text(value);
}

void text_or_null(base::JsonWriter& json, std::string_view key, std::string_view value) {
  json.key(key);
  if (value.empty()) {
    json.null();
  } else {
    json.text(value);
  }
}

void number_member(base::JsonWriter& json, std::string_view key, std::uint64_t value) {
  json.key(key);
  json.number(value);
}

void boolean_member(base::JsonWriter& json, std::string_view key, bool value) {
  json.key(key);
  json.boolean(value);
}

void root_or_null(base::JsonWriter& json, const std::optional<hash::Root>& root) {
  if (root) {
    json.text(root->hex());
  } else {
    json.null();
  }
}

void shape(base::JsonWriter& json, std::span<const std::uint64_t> dimensions) {
  json.begin_array();
  for (const std::uint64_t dimension : dimensions) {
    json.number(dimension);
  }
  json.end_array();
}

double seconds(base::Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

std::string bytes_in(std::uint64_t bytes, base::Duration duration) {
  const double elapsed = std::max(seconds(duration), 1e-6);
  const auto rate = static_cast<std::uint64_t>(static_cast<double>(bytes) / elapsed);
  return fmt::format(
      "{} in {:.2f} s ({}/s)", base::format_bytes(bytes), elapsed, base::format_bytes(rate));
}

std::string counted(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string utc_time(std::uint64_t seconds_since_1970) {
  namespace chrono = std::chrono;
  const chrono::sys_seconds time{chrono::seconds(seconds_since_1970)};
  const auto day = chrono::floor<chrono::days>(time);
  const chrono::year_month_day date(day);
  const chrono::hh_mm_ss clock(time - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
                     static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()),
                     clock.hours().count(),
                     clock.minutes().count(),
                     clock.seconds().count());
}

}  // namespace weighbridge::cli
