#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace weighbridge::pack {

inline constexpr std::size_t kMaxYamlDepth = 64;

// One value of a YAML text: plain data, as JSON would have it. Thread-compatible.
struct YamlValue {
  enum class Kind : std::uint8_t { kNull, kText, kList, kMap };

  Kind kind = Kind::kNull;
  std::size_t line = 1;  // from 1
  std::string text;
  std::vector<YamlValue> list;    // of a map: the values
  std::vector<std::string> keys;  // of a map, unique, in order

  const char* kind_name() const;
};

// Reads one document (an empty text is null). kInvalid, with the line: no YAML, an alias, an anchor
// or a tag, a key that is no text or stands twice, a second document, control characters or bytes
// that are not UTF-8. kExhausted: deeper than kMaxYamlDepth.
base::Result<YamlValue> parse_yaml(std::string_view text);

}  // namespace weighbridge::pack
