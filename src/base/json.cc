#include "base/json.h"

namespace weighbridge::base {

std::string_view JsonValue::kind() const {
  switch (element_.type()) {
    case simdjson::dom::element_type::ARRAY:
      return "an array";
    case simdjson::dom::element_type::OBJECT:
      return "an object";
    case simdjson::dom::element_type::STRING:
      return "a string";
    case simdjson::dom::element_type::BOOL:
      return "a boolean";
    case simdjson::dom::element_type::NULL_VALUE:
      return "null";
    case simdjson::dom::element_type::DOUBLE:
      return "a fractional number";
    case simdjson::dom::element_type::INT64:
      return element_.is<std::uint64_t>() ? "a number" : "a negative number";
    case simdjson::dom::element_type::UINT64:
      return "a number";
  }
  return "something else";
}

Result<std::uint64_t> JsonValue::as_u64() const {
  std::uint64_t value = 0;
  if (element_.get(value) != simdjson::SUCCESS) {
    return Error(Code::kInvalid, "expected a non-negative integer, found " + std::string(kind()));
  }
  return value;
}

Result<std::string_view> JsonValue::as_string() const {
  std::string_view value;
  if (element_.get(value) != simdjson::SUCCESS) {
    return Error(Code::kInvalid, "expected a string, found " + std::string(kind()));
  }
  return value;
}

Result<bool> JsonValue::as_bool() const {
  bool value = false;
  if (element_.get(value) != simdjson::SUCCESS) {
    return Error(Code::kInvalid, "expected true or false, found " + std::string(kind()));
  }
  return value;
}

Result<JsonDocument> JsonDocument::parse(std::string_view text, std::size_t max_depth) {
  auto parser = std::make_unique<simdjson::dom::parser>();
  if (parser->allocate(text.size(), max_depth) != simdjson::SUCCESS) {
    return Error(Code::kExhausted, "no memory to parse a JSON text of this size");
  }
  simdjson::dom::element root;
  const simdjson::error_code problem = parser->parse(text.data(), text.size()).get(root);
  if (problem == simdjson::DEPTH_ERROR) {
    return Error(Code::kExhausted, "the JSON nests too deeply");
  }
  if (problem != simdjson::SUCCESS) {
    return Error(Code::kCorrupt,
                 std::string("not valid JSON: ") + simdjson::error_message(problem));
  }
  return JsonDocument(std::move(parser), root);
}

}  // namespace weighbridge::base
