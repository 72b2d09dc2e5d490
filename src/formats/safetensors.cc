#include "formats/safetensors.h"

#include <algorithm>
#include <optional>
#include <tuple>
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
using model::TensorEntry;

constexpr std::string_view kMetadataKey = "__metadata__";

// A tensor as the header states it.
struct Stated {
  std::string name;
  std::optional<Dtype> dtype;
  std::optional<std::vector<std::uint64_t>> shape;
  std::optional<Range> offsets;      // from the start of the data
  std::uint64_t name_offset = 0;     // where in the file the header says so
  std::uint64_t offsets_offset = 0;  // likewise
};

Error corrupt(std::uint64_t offset, std::string message) {
  return Error(Code::kCorrupt, std::move(message)).at(offset);
}

std::string tensor_called(std::string_view name) {
  return fmt::format("tensor '{}'", base::printable(name));
}

Result<Dtype> read_dtype(JsonCursor& json) {
  const std::uint64_t offset = json.offset();
  const std::string name = TRY(json.string());
  const std::optional<Dtype> dtype = model::dtype_named(name);
  if (!dtype) {
    return Error(Code::kUnsupported,
                 fmt::format("'{}' is no dtype known here", base::printable(name)))
        .at(offset);
  }
  return *dtype;
}

Result<std::vector<std::uint64_t>> read_shape(JsonCursor& json) {
  std::vector<std::uint64_t> shape;
  TRY(json.each_element([&]() -> Result<void> {
    if (shape.size() == kMaxTensorDimensions) {
      return corrupt(json.offset(), fmt::format("more than {} dimensions", kMaxTensorDimensions));
    }
    shape.push_back(TRY(json.unsigned_integer()));
    return {};
  }));
  shape.shrink_to_fit();  // millions of them may be kept
  return shape;
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
template <typename T>
Result<void> read_once(std::optional<T>& field,
                       std::string_view key,
                       std::uint64_t key_offset,
                       JsonCursor& json,
                       Result<T> (*read)(JsonCursor&)) {
  if (field) {
    return corrupt(key_offset, fmt::format("{} stands there twice", key));
  }
  Result<T> value = read(json);
  if (!value.ok()) {
    return std::move(value).error().context(key);
  }
  field = std::move(value).value();
  return {};
}

Result<void> read_tensor_members(JsonCursor& json, Stated& tensor) {
  const std::uint64_t begin = json.offset();
  TRY(json.each_member([&](const std::string& key, std::uint64_t offset) -> Result<void> {
    if (key == "dtype") {
      return read_once(tensor.dtype, key, offset, json, read_dtype);
    }
    if (key == "shape") {
      return read_once(tensor.shape, key, offset, json, read_shape);
    }
    if (key == "data_offsets") {
      tensor.offsets_offset = json.offset();
      return read_once(tensor.offsets, key, offset, json, read_offsets);
    }
    return json.skip();
  }));
  if (!tensor.dtype || !tensor.shape || !tensor.offsets) {
    return corrupt(begin,
                   fmt::format("{} is missing",
                               !tensor.dtype   ? "dtype"
                               : !tensor.shape ? "shape"
                                               : "data_offsets"));
  }
  return {};
}

// The bytes that dtype and shape ask for, with every step checked (rule 9).
Result<std::uint64_t> bytes_asked_for(const Stated& tensor) {
  std::optional<std::uint64_t> bits = 1;
  for (const std::uint64_t dimension : *tensor.shape) {
    bits = bits ? base::checked_multiply(*bits, dimension) : bits;
  }
  bits = bits ? base::checked_multiply(*bits, model::bits_of(*tensor.dtype)) : bits;
  if (!bits) {
    return corrupt(tensor.name_offset, "its shape has 2^64 bits or more");
  }
  if (*bits % 8 != 0) {
    return corrupt(tensor.name_offset,
                   fmt::format("{} bits of {} are not whole bytes", *bits, name_of(*tensor.dtype)));
  }
  return *bits / 8;
}

// Rules 8 and 9.
Result<void> check_size(const Stated& tensor) {
  const Range offsets = *tensor.offsets;
  if (offsets.end < offsets.begin) {
    return corrupt(
        tensor.offsets_offset,
        fmt::format("data_offsets end at {}, before they begin at {}", offsets.end, offsets.begin));
  }
  const std::uint64_t bytes = TRY(bytes_asked_for(tensor));
  if (bytes != offsets.size()) {
    return corrupt(tensor.offsets_offset,
                   fmt::format("dtype {} and shape [{}] ask for {} bytes, data_offsets hold {}",
                               name_of(*tensor.dtype),
                               fmt::join(*tensor.shape, ","),
                               bytes,
                               offsets.size()));
  }
  return {};
}

// After check_names(): of a name stated twice, the first may be wrong in other ways too.
Result<void> check_sizes(std::span<const Stated> tensors) {
  for (const Stated& tensor : tensors) {
    Result<void> checked = check_size(tensor);
    if (!checked.ok()) {
      return std::move(checked).error().context(tensor_called(tensor.name));
    }
  }
  return {};
}

Result<Stated> read_tensor(JsonCursor& json, std::string name, std::uint64_t name_offset) {
  Stated tensor;
  tensor.name = std::move(name);
  tensor.name_offset = name_offset;
  if (tensor.name.size() > kMaxTensorNameBytes) {
    return corrupt(
        name_offset,
        fmt::format(
            "a name of {} bytes, at most {} are allowed", tensor.name.size(), kMaxTensorNameBytes));
  }
  Result<void> read = read_tensor_members(json, tensor);
  if (!read.ok()) {
    return std::move(read).error().context(tensor_called(tensor.name));
  }
  return tensor;
}

Result<std::map<std::string, std::string>> read_metadata(JsonCursor& json) {
  std::map<std::string, std::string> metadata;
  TRY(json.each_member([&](std::string key, std::uint64_t offset) -> Result<void> {
    if (metadata.size() == kMaxSafetensorsMetadata) {
      return corrupt(offset, fmt::format("more than {} keys", kMaxSafetensorsMetadata));
    }
    std::string value = TRY(json.string());
    const auto [at, added] = metadata.try_emplace(std::move(key), std::move(value));
    if (!added) {
      return corrupt(offset,
                     fmt::format("key '{}' stands there twice", base::printable(at->first)));
    }
    return {};
  }));
  return metadata;
}

struct Header {
  std::vector<Stated> tensors;
  std::optional<std::map<std::string, std::string>> metadata;
};

// Rules 2 to 7, and what JSON says of 8.
Result<Header> read_header(std::string_view text, std::uint64_t origin) {
  if (!text.starts_with('{')) {
    return corrupt(origin, "the header does not begin with '{'");
  }
  Header header;
  JsonCursor json(text, origin);
  TRY(json.each_member([&](std::string name, std::uint64_t offset) -> Result<void> {
    if (name == kMetadataKey) {
      return read_once(header.metadata, name, offset, json, read_metadata);
    }
    header.tensors.push_back(TRY(read_tensor(json, std::move(name), offset)));
    return {};
  }));
  const std::string_view padding = json.rest();
  if (const std::size_t stray = padding.find_first_not_of(' '); stray != padding.npos) {
    return corrupt(origin + text.size() - padding.size() + stray,
                   "after the header's '}' expected only spaces");
  }
  return header;
}

Result<void> check_names(std::span<const Stated> tensors) {
  std::vector<const Stated*> by_name;
  by_name.reserve(tensors.size());
  for (const Stated& tensor : tensors) {
    by_name.push_back(&tensor);
  }
  std::ranges::sort(by_name, {}, [](const Stated* tensor) {
    return std::tuple(std::string_view(tensor->name), tensor->name_offset);
  });
  const auto same = std::ranges::adjacent_find(
      by_name, {}, [](const Stated* tensor) { return std::string_view(tensor->name); });
  if (same == by_name.end()) {
    return {};
  }
  const Stated& second = **std::next(same);
  return corrupt(second.name_offset,
                 fmt::format("{}: the name stands there twice, first at offset {}",
                             tensor_called(second.name),
                             (*same)->name_offset));
}

// Rule 10, for tensors in order of their bytes.
Result<void> check_cover(std::span<const Stated> tensors, std::uint64_t data_bytes) {
  std::uint64_t covered = 0;
  for (const Stated& tensor : tensors) {
    if (tensor.offsets->begin != covered) {
      return corrupt(tensor.offsets_offset,
                     fmt::format("{}: data_offsets begin at {}, expected {}: {}",
                                 tensor_called(tensor.name),
                                 tensor.offsets->begin,
                                 covered,
                                 tensor.offsets->begin > covered ? "a hole" : "tensors overlap"));
    }
    if (tensor.offsets->end > data_bytes) {
      return corrupt(tensor.offsets_offset,
                     fmt::format("{}: data_offsets end at {}, the file has {} bytes of data",
                                 tensor_called(tensor.name),
                                 tensor.offsets->end,
                                 data_bytes));
    }
    covered = tensor.offsets->end;
  }
  return {};
}

std::vector<TensorEntry> entries_of(std::vector<Stated> tensors, std::uint64_t data_begin) {
  std::vector<TensorEntry> entries;
  entries.reserve(tensors.size());
  for (Stated& tensor : tensors) {
    entries.push_back({std::move(tensor.name),
                       *tensor.dtype,
                       *std::move(tensor.shape),
                       {data_begin + tensor.offsets->begin, data_begin + tensor.offsets->end}});
  }
  return entries;
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
  Header stated = TRY(read_header(text_of(json), header.begin));
  TRY(check_names(stated.tensors));
  TRY(check_sizes(stated.tensors));
  std::ranges::sort(stated.tensors, {}, [](const Stated& tensor) {
    return std::tuple(tensor.offsets->begin, tensor.offsets->end, std::string_view(tensor.name));
  });
  const std::uint64_t data_bytes = file_bytes - header.end;
  TRY(check_cover(stated.tensors, data_bytes));
  const std::uint64_t covered = stated.tensors.empty() ? 0 : stated.tensors.back().offsets->end;
  if (covered != data_bytes) {
    return corrupt(
        header.end + covered,
        fmt::format("{} bytes of data, but the tensors end after {}", data_bytes, covered));
  }
  return SafetensorsTable{
      header,
      entries_of(std::move(stated.tensors), header.end),
      std::move(stated.metadata).value_or(std::map<std::string, std::string>())};
}

}  // namespace weighbridge::formats
