#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weighbridge::base {

// Writes one JSON text into a string, value by value, in the order of the calls; commas are its
// work, balance is the caller's. Bytes that are not UTF-8 become U+FFFD, so that the text always
// parses. Confined.
class JsonWriter {
 public:
  // Appends to `out`, which outlives the writer; the caller may take what is there at any time.
  explicit JsonWriter(std::string& out) : out_(out) {}

  void begin_object();
  void end_object();
  void begin_array();
  void end_array();
  // Before each value of an object.
  void key(std::string_view name);

  void text(std::string_view value);
  void number(std::uint64_t value);
  // Six decimals; not finite becomes null.
  void decimal(double value);
  void boolean(bool value);
  void null();
  // A value that is JSON already, as JsonValue::text() gives it.
  void json(std::string_view value);

 private:
  void separate();

  std::string& out_;
  bool needs_comma_ = false;
};

}  // namespace weighbridge::base
