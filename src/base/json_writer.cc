#include "base/json_writer.h"

#include <cmath>
#include <cstddef>

#include <fmt/format.h>

#include "base/text.h"

namespace weighbridge::base {
namespace {

void append_escaped(std::string& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    default:
      break;
  }
  const auto byte = static_cast<unsigned char>(c);
  if (byte < 0x20 || byte == 0x7F) {
    out += fmt::format("\\u{:04x}", byte);
  } else {
    out += c;
  }
}

// The shortest well-formed UTF-8 character at the front, or nothing.
std::string_view character_at(std::string_view text) {
  for (std::size_t bytes = 1; bytes <= 4 && bytes <= text.size(); ++bytes) {
    if (is_utf8(text.substr(0, bytes))) {
      return text.substr(0, bytes);
    }
  }
  return {};
}

void append_valid(std::string& out, std::string_view text) {
  for (const char c : text) {
    append_escaped(out, c);
  }
}

}  // namespace

void JsonWriter::begin_object() {
  separate();
  out_ += '{';
  needs_comma_ = false;
}

void JsonWriter::end_object() {
  out_ += '}';
  needs_comma_ = true;
}

void JsonWriter::begin_array() {
  separate();
  out_ += '[';
  needs_comma_ = false;
}

void JsonWriter::end_array() {
  out_ += ']';
  needs_comma_ = true;
}

void JsonWriter::key(std::string_view name) {
  text(name);
  out_ += ": ";
  needs_comma_ = false;
}

void JsonWriter::text(std::string_view value) {
  separate();
  out_ += '"';
  if (is_utf8(value)) {
    append_valid(out_, value);
  } else {
    while (!value.empty()) {
      const std::string_view character = character_at(value);
      append_valid(out_, character.empty() ? "\xEF\xBF\xBD" : character);
      value.remove_prefix(character.empty() ? 1 : character.size());
    }
  }
  out_ += '"';
  needs_comma_ = true;
}

void JsonWriter::number(std::uint64_t value) {
  separate();
  out_ += fmt::format("{}", value);
  needs_comma_ = true;
}

void JsonWriter::decimal(double value) {
  if (!std::isfinite(value)) {
    null();
    return;
  }
  separate();
  out_ += fmt::format("{:.6f}", value);
  needs_comma_ = true;
}

void JsonWriter::boolean(bool value) {
  separate();
  out_ += value ? "true" : "false";
  needs_comma_ = true;
}

void JsonWriter::null() {
  separate();
  out_ += "null";
  needs_comma_ = true;
}

void JsonWriter::json(std::string_view value) {
  separate();
  out_ += value;
  needs_comma_ = true;
}

void JsonWriter::separate() {
  if (needs_comma_) {
    out_ += ", ";
  }
}

}  // namespace weighbridge::base
