#include "cli/report.h"

#include <algorithm>

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
  std::string text;
  base::JsonWriter json(text);
  json.begin_object();
  error_members(json, error);
  json.end_object();
  return text + "\n";
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

}  // namespace weighbridge::cli
