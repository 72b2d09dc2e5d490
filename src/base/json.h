#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <simdjson.h>

#include "base/result.h"

namespace weighbridge::base {

// JSON from outside, read with simdjson. A value borrows the JsonDocument it stands in.
// Every get fails with kInvalid when the value is of another type. Thread-compatible.
class JsonValue {
 public:
  explicit JsonValue(simdjson::dom::element element) : element_(element) {}

  bool is_null() const { return element_.is_null(); }

  // "an object", "a string", "a number", ...: for messages.
  std::string_view kind() const;

  Result<std::uint64_t> as_u64() const;  // no sign, no fraction, no exponent
  Result<std::string_view> as_string() const;
  Result<bool> as_bool() const;

  // The value as JSON again, without white space: for what is passed on unread.
  std::string text() const { return simdjson::minify(element_); }

  // Calls `visit(JsonValue)` for each element; stops at its first error.
  template <typename Visit>
  Result<void> each_element(Visit&& visit) const;
  // Calls `visit(std::string_view key, JsonValue)` for each member in the order of the text,
  // duplicate keys included; stops at its first error.
  template <typename Visit>
  Result<void> each_member(Visit&& visit) const;

 private:
  simdjson::dom::element element_;
};

// A parsed JSON text. Confined while parsing, Thread-compatible after.
class JsonDocument {
 public:
  // `text` is copied. kCorrupt, with the reason, if it is not one JSON value in UTF-8; kExhausted
  // if it nests deeper than `max_depth`.
  static Result<JsonDocument> parse(std::string_view text, std::size_t max_depth = 64);

  JsonValue root() const { return JsonValue(root_); }

 private:
  JsonDocument(std::unique_ptr<simdjson::dom::parser> parser, simdjson::dom::element root)
      : parser_(std::move(parser)), root_(root) {}

  std::unique_ptr<simdjson::dom::parser> parser_;
  simdjson::dom::element root_;
};

template <typename Visit>
Result<void> JsonValue::each_element(Visit&& visit) const {
  simdjson::dom::array array;
  if (element_.get(array) != simdjson::SUCCESS) {
    return Error(Code::kInvalid, "expected an array, found " + std::string(kind()));
  }
  for (const simdjson::dom::element element : array) {
    TRY(visit(JsonValue(element)));
  }
  return {};
}

template <typename Visit>
Result<void> JsonValue::each_member(Visit&& visit) const {
  simdjson::dom::object object;
  if (element_.get(object) != simdjson::SUCCESS) {
    return Error(Code::kInvalid, "expected an object, found " + std::string(kind()));
  }
  for (const simdjson::dom::key_value_pair member : object) {
    TRY(visit(member.key, JsonValue(member.value)));
  }
  return {};
}

}  // namespace weighbridge::base
