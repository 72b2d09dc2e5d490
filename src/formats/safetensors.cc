#include "formats/safetensors.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/text.h"
#include "base/units.h"
#include "formats/json_cursor.h"

namespace weighbridge::formats {
namespace {

using base::Code;
using base::Error;
using base::Range;
using base::Result;
using model::Dtype;
using model::TensorTable;

constexpr std::string_view kMetadataKey = "__metadata__";

// The least that a header says of a tensor: `"":{"dtype":"U8","shape":[],"data_offsets":[0,0]},`.
constexpr std::size_t kLeastStatementBytes = 50;

constexpr std::size_t kUsualDimensions = 2;

static_assert(kMaxSafetensorsHeaderBytes < std::numeric_limits<std::uint32_t>::max(),
              "a place in the header, in the names or among the dimensions takes 32 bits");
static_assert(kMaxTensorNameBytes <= std::numeric_limits<std::uint16_t>::max());
static_assert(kMaxTensorDimensions <= std::numeric_limits<std::uint8_t>::max());

// A tensor as the header states it; there may be a million of them at once.
struct Stated {
  Range offsets;                     // from the start of the data
  std::uint32_t name_offset = 0;     // where in the file the header says so
  std::uint32_t offsets_offset = 0;  // likewise
  std::uint32_t name_at = 0;         // in Statements::names
  std::uint32_t shape_at = 0;        // in Statements::dimensions
  std::uint16_t name_bytes = 0;
  std::uint8_t shape_size = 0;
  Dtype dtype = Dtype::kU8;
};

// All of them, with their names and shapes in one place each.
struct Statements {
  std::vector<Stated> tensors;
  std::string names;
  std::vector<std::uint64_t> dimensions;

  std::string_view name_of(const Stated& tensor) const {
    return std::string_view(names).substr(tensor.name_at, tensor.name_bytes);
  }

  std::span<const std::uint64_t> shape_of(const Stated& tensor) const {
    return std::span(dimensions).subspan(tensor.shape_at, tensor.shape_size);
  }
};

// What the members of one tensor say.
struct Members {
  std::optional<Dtype> dtype;
  std::optional<std::size_t> shape_size;
  std::optional<Range> offsets;
  std::uint64_t offsets_offset = 0;
};

Error corrupt(std::uint64_t offset, std::string message) {
  return Error(Code::kCorrupt, std::move(message)).at(offset);
}

std::string tensor_called(std::string_view name) {
  return fmt::format("tensor '{}'", base::printable(name));
}

Result<Dtype> read_dtype(JsonCursor& json) {
  const std::uint64_t offset = json.offset();
  std::string unescaped;
  const std::string_view name = TRY(json.string(unescaped));
  const std::optional<Dtype> dtype = model::dtype_named(name);
  if (!dtype) {
    return Error(Code::kUnsupported,
                 fmt::format("'{}' is no dtype known here", base::printable(name)))
        .at(offset);
  }
  return *dtype;
}

// Appends to `dimensions`; returns how many they are.
Result<std::size_t> read_shape(JsonCursor& json, std::vector<std::uint64_t>& dimensions) {
  std::size_t count = 0;
  TRY(json.each_element([&]() -> Result<void> {
    if (count++ == kMaxTensorDimensions) {
      return corrupt(json.offset(), fmt::format("more than {} dimensions", kMaxTensorDimensions));
    }
    dimensions.push_back(TRY(json.unsigned_integer()));
    return {};
  }));
  return count;
}

Result<Range> read_offsets(JsonCursor& json) {
  const std::uint64_t offset = json.offset();
  std::uint64_t count = 0;
  Range range;
  TRY(json.each_element([&]() -> Result<void> {
    const std::uint64_t value = TRY(json.unsigned_integer());
    (count == 0 ? range.begin : range.end) = value;
    if (++count > 2) {
      return corrupt(offset, "expected two integers, found more");
    }
    return {};
  }));
  if (count != 2) {
    return corrupt(offset, fmt::format("expected two integers, found {}", count));
  }
  return range;
}

// Reads one member's value into `field`, which must not have been read before.
template <typename T, typename Read>
Result<void> read_once(std::optional<T>& field,
                       std::string_view key,
                       std::uint64_t key_offset,
                       const Read& read) {
  if (field) {
    return corrupt(key_offset, fmt::format("{} stands there twice", key));
  }
  Result<T> value = read();
  if (!value.ok()) {
    return std::move(value).error().context(key);
  }
  field = std::move(value).value();
  return {};
}

Result<Members> read_tensor_members(JsonCursor& json, std::vector<std::uint64_t>& dimensions) {
  Members tensor;
  const std::uint64_t begin = json.offset();
  TRY(json.each_member([&](std::string_view key, std::uint64_t offset) -> Result<void> {
    if (key == "dtype") {
      return read_once(tensor.dtype, key, offset, [&] { return read_dtype(json); });
    }
    if (key == "shape") {
      return read_once(
          tensor.shape_size, key, offset, [&] { return read_shape(json, dimensions); });
    }
    if (key == "data_offsets") {
      tensor.offsets_offset = json.offset();
      return read_once(tensor.offsets, key, offset, [&] { return read_offsets(json); });
    }
    return json.skip();
  }));
  if (!tensor.dtype || !tensor.shape_size || !tensor.offsets) {
    return corrupt(begin,
                   fmt::format("{} is missing",
                               !tensor.dtype        ? "dtype"
                               : !tensor.shape_size ? "shape"
                                                    : "data_offsets"));
  }
  return tensor;
}

// The bytes that dtype and shape ask for, with every step checked (rule 9).
Result<std::uint64_t> bytes_asked_for(const Stated& tensor, std::span<const std::uint64_t> shape) {
  std::optional<std::uint64_t> bits = 1;
  for (const std::uint64_t dimension : shape) {
    bits = bits ? base::checked_multiply(*bits, dimension) : bits;
  }
  bits = bits ? base::checked_multiply(*bits, model::bits_of(tensor.dtype)) : bits;
  if (!bits) {
    return corrupt(tensor.name_offset, "its shape has 2^64 bits or more");
  }
  if (*bits % 8 != 0) {
    return corrupt(tensor.name_offset,
                   fmt::format("{} bits of {} are not whole bytes", *bits, name_of(tensor.dtype)));
  }
  return *bits / 8;
}

// Rules 8 and 9.
Result<void> check_size(const Stated& tensor, std::span<const std::uint64_t> shape) {
  const Range offsets = tensor.offsets;
  if (offsets.end < offsets.begin) {
    return corrupt(
        tensor.offsets_offset,
        fmt::format("data_offsets end at {}, before they begin at {}", offsets.end, offsets.begin));
  }
  const std::uint64_t bytes = TRY(bytes_asked_for(tensor, shape));
  if (bytes != offsets.size()) {
    return corrupt(tensor.offsets_offset,
                   fmt::format("dtype {} and shape [{}] ask for {} bytes, data_offsets hold {}",
                               name_of(tensor.dtype),
                               fmt::join(shape, ","),
                               bytes,
                               offsets.size()));
  }
  return {};
}

// After check_names(): of a name stated twice, the first may be wrong in other ways too.
Result<void> check_sizes(const Statements& stated) {
  for (const Stated& tensor : stated.tensors) {
    Result<void> checked = check_size(tensor, stated.shape_of(tensor));
    if (!checked.ok()) {
      return std::move(checked).error().context(tensor_called(stated.name_of(tensor)));
    }
  }
  return {};
}

Result<void> read_tensor(JsonCursor& json,
                         std::string_view name,
                         std::uint64_t name_offset,
                         Statements& stated) {
  if (name.size() > kMaxTensorNameBytes) {
    return corrupt(
        name_offset,
        fmt::format(
            "a name of {} bytes, at most {} are allowed", name.size(), kMaxTensorNameBytes));
  }
  const std::size_t shape_at = stated.dimensions.size();
  Result<Members> read = read_tensor_members(json, stated.dimensions);
  if (!read.ok()) {
    return std::move(read).error().context(tensor_called(name));
  }
  stated.tensors.push_back({*read->offsets,
                            static_cast<std::uint32_t>(name_offset),
                            static_cast<std::uint32_t>(read->offsets_offset),
                            static_cast<std::uint32_t>(stated.names.size()),
                            static_cast<std::uint32_t>(shape_at),
                            static_cast<std::uint16_t>(name.size()),
                            static_cast<std::uint8_t>(*read->shape_size),
                            *read->dtype});
  stated.names += name;
  return {};
}

Result<std::map<std::string, std::string>> read_metadata(JsonCursor& json) {
  std::map<std::string, std::string> metadata;
  std::string unescaped;
  TRY(json.each_member([&](std::string_view key, std::uint64_t offset) -> Result<void> {
    if (metadata.size() == kMaxSafetensorsMetadata) {
      return corrupt(offset, fmt::format("more than {} keys", kMaxSafetensorsMetadata));
    }
    const std::string_view value = TRY(json.string(unescaped));
    const auto [at, added] = metadata.try_emplace(std::string(key), value);
    if (!added) {
      return corrupt(offset,
                     fmt::format("key '{}' stands there twice", base::printable(at->first)));
    }
    return {};
  }));
  return metadata;
}

struct Header {
  Statements stated;
  std::optional<std::map<std::string, std::string>> metadata;
};

// Rules 2 to 7, and what JSON says of 8.
Result<Header> read_header(std::string_view text, std::uint64_t origin) {
  if (!text.starts_with('{')) {
    return corrupt(origin, "the header does not begin with '{'");
  }
  Header header;
  // At once, so that nothing is copied as they grow; what is not needed is not touched.
  header.stated.tensors.reserve(text.size() / kLeastStatementBytes + 1);
  header.stated.names.reserve(text.size());
  header.stated.dimensions.reserve(kUsualDimensions * (text.size() / kLeastStatementBytes + 1));
  JsonCursor json(text, origin);
  TRY(json.each_member([&](std::string_view name, std::uint64_t offset) -> Result<void> {
    if (name == kMetadataKey) {
      return read_once(header.metadata, name, offset, [&] { return read_metadata(json); });
    }
    return read_tensor(json, name, offset, header.stated);
  }));
  const std::string_view padding = json.rest();
  if (const std::size_t stray = padding.find_first_not_of(' '); stray != padding.npos) {
    return corrupt(origin + text.size() - padding.size() + stray,
                   "after the header's '}' expected only spaces");
  }
  return header;
}

// True if no two names are equal; false if two are, or if too many meet at one place of the table:
// who knows its hash can make them, so that is left to an order which nobody can slow down.
bool surely_distinct(const Statements& stated) {
  constexpr std::size_t kMostSteps = 256;
  constexpr std::uint32_t kFree = ~std::uint32_t{0};
  std::vector<std::uint32_t> table(std::bit_ceil(2 * stated.tensors.size() + 1), kFree);
  for (std::uint32_t i = 0; i < stated.tensors.size(); ++i) {
    const std::string_view name = stated.name_of(stated.tensors[i]);
    std::size_t at = std::hash<std::string_view>()(name) & (table.size() - 1);
    for (std::size_t steps = 0; table[at] != kFree; at = (at + 1) & (table.size() - 1)) {
      if (++steps > kMostSteps || stated.name_of(stated.tensors[table[at]]) == name) {
        return false;
      }
    }
    table[at] = i;
  }
  return true;
}

Result<void> check_names(const Statements& stated) {
  if (surely_distinct(stated)) {
    return {};
  }
  const auto name_at = [&](std::uint32_t i) { return stated.name_of(stated.tensors[i]); };
  std::vector<std::uint32_t> by_name(stated.tensors.size());
  std::iota(by_name.begin(), by_name.end(), 0U);
  // In the order of the header where names are equal.
  std::ranges::sort(by_name, {}, [&](std::uint32_t i) { return std::pair(name_at(i), i); });
  const auto same = std::ranges::adjacent_find(by_name, {}, name_at);
  if (same == by_name.end()) {
    return {};
  }
  const Stated& second = stated.tensors[*std::next(same)];
  return corrupt(second.name_offset,
                 fmt::format("{}: the name stands there twice, first at offset {}",
                             tensor_called(stated.name_of(second)),
                             stated.tensors[*same].name_offset));
}

// As most files state them already.
void order_by_bytes(Statements& stated) {
  const auto is_before = [&](const Stated& a, const Stated& b) {
    if (a.offsets != b.offsets) {
      return std::pair(a.offsets.begin, a.offsets.end) < std::pair(b.offsets.begin, b.offsets.end);
    }
    return stated.name_of(a) < stated.name_of(b);
  };
  if (!std::ranges::is_sorted(stated.tensors, is_before)) {
    std::ranges::sort(stated.tensors, is_before);
  }
}

// Rule 10, for tensors in order of their bytes.
Result<void> check_cover(const Statements& stated, std::uint64_t data_bytes) {
  std::uint64_t covered = 0;
  for (const Stated& tensor : stated.tensors) {
    const Range offsets = tensor.offsets;
    if (offsets.begin != covered) {
      return corrupt(tensor.offsets_offset,
                     fmt::format("{}: data_offsets begin at {}, expected {}: {}",
                                 tensor_called(stated.name_of(tensor)),
                                 offsets.begin,
                                 covered,
                                 offsets.begin > covered ? "a hole" : "tensors overlap"));
    }
    if (offsets.end > data_bytes) {
      return corrupt(tensor.offsets_offset,
                     fmt::format("{}: data_offsets end at {}, the file has {} bytes of data",
                                 tensor_called(stated.name_of(tensor)),
                                 offsets.end,
                                 data_bytes));
    }
    covered = offsets.end;
  }
  return {};
}

// Of what has been checked, in order of bytes.
TensorTable table_of(Statements stated, std::uint64_t data_begin, std::uint64_t file_bytes) {
  TensorTable::Parts parts;
  parts.rows.reserve(stated.tensors.size());
  for (const Stated& tensor : stated.tensors) {
    parts.rows.push_back({data_begin + tensor.offsets.begin,
                          tensor.name_at,
                          tensor.shape_at,
                          tensor.name_bytes,
                          tensor.shape_size,
                          tensor.dtype});
  }
  parts.names = std::move(stated.names);
  parts.names.shrink_to_fit();
  parts.dimensions = std::move(stated.dimensions);
  parts.dimensions.shrink_to_fit();
  parts.end = file_bytes;
  return TensorTable(std::move(parts));
}

std::string_view text_of(std::span<const std::byte> bytes) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes read as characters
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

Result<Range> safetensors_header(std::span<const std::byte> prefix, std::uint64_t file_bytes) {
  if (file_bytes < kSafetensorsPrefixBytes) {
    return corrupt(0,
                   fmt::format("a safetensors file has 8 bytes at least, this has {}", file_bytes));
  }
  WB_CHECK(prefix.size() >= kSafetensorsPrefixBytes, "the caller reads the prefix first");
  std::uint64_t length = 0;
  for (std::size_t i = kSafetensorsPrefixBytes; i-- > 0;) {
    length = (length << 8U) | std::to_integer<std::uint64_t>(prefix[i]);
  }
  if (length > kMaxSafetensorsHeaderBytes) {
    return corrupt(0,
                   fmt::format("the header's length is {}, at most {} are allowed",
                               length,
                               kMaxSafetensorsHeaderBytes));
  }
  if (length > file_bytes - kSafetensorsPrefixBytes) {
    return corrupt(0,
                   fmt::format("the header's length is {}, the file has only {} bytes after it",
                               length,
                               file_bytes - kSafetensorsPrefixBytes));
  }
  return Range{kSafetensorsPrefixBytes, kSafetensorsPrefixBytes + length};
}

Result<SafetensorsTable> parse_safetensors(std::span<const std::byte> json,
                                           Range header,
                                           std::uint64_t file_bytes) {
  WB_CHECK(header.begin == kSafetensorsPrefixBytes && header.end <= file_bytes &&
               header.size() == json.size(),
           "the range is safetensors_header()'s, the bytes are that range's");
  Header read = TRY(read_header(text_of(json), header.begin));
  Statements& stated = read.stated;
  TRY(check_names(stated));
  TRY(check_sizes(stated));
  order_by_bytes(stated);
  const std::uint64_t data_bytes = file_bytes - header.end;
  TRY(check_cover(stated, data_bytes));
  const std::uint64_t covered = stated.tensors.empty() ? 0 : stated.tensors.back().offsets.end;
  if (covered != data_bytes) {
    return corrupt(
        header.end + covered,
        fmt::format("{} bytes of data, but the tensors end after {}", data_bytes, covered));
  }
  return SafetensorsTable{header,
                          table_of(std::move(stated), header.end, file_bytes),
                          std::move(read.metadata).value_or(std::map<std::string, std::string>())};
}

}  // namespace weighbridge::formats
