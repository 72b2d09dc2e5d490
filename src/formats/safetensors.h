#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/range.h"
#include "base/result.h"
#include "model/tensor.h"

namespace weighbridge::formats {

// safetensors, bytes to tables; no I/O. (docs/formats/safetensors.md)
inline constexpr std::uint64_t kSafetensorsPrefixBytes = 8;
inline constexpr std::uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;
inline constexpr std::size_t kMaxSafetensorsMetadata = 65'536;  // keys
inline constexpr std::size_t kMaxTensorDimensions = 64;
inline constexpr std::size_t kMaxTensorNameBytes = 4096;

struct SafetensorsTable {
  base::Range header;          // the JSON, absolute in the file
  model::TensorTable tensors;  // names are unique
  std::map<std::string, std::string> metadata;
};

// Where the header's JSON stands, from the first 8 bytes of a file of `file_bytes`.
// kCorrupt for a file too short, or a length past the limit or the end of the file.
base::Result<base::Range> safetensors_header(std::span<const std::byte> prefix,
                                             std::uint64_t file_bytes);

// The table, from the JSON that stands in `header`. Everything is checked before anything of a
// size from the file is allocated. kCorrupt, and for a dtype that is not known kUnsupported, name
// the tensor and the offset in the file.
base::Result<SafetensorsTable> parse_safetensors(std::span<const std::byte> json,
                                                 base::Range header,
                                                 std::uint64_t file_bytes);

// `model.safetensors.index.json`: which shard holds which tensor.
struct ShardIndex {
  std::map<std::string, std::string, std::less<>>
      file_of;                     // tensor name to a path beside the index
  std::vector<std::string> files;  // each once, in byte order
};

inline constexpr std::uint64_t kMaxShardIndexBytes = 64 * 1024 * 1024;
inline constexpr std::string_view kShardIndexName = "model.safetensors.index.json";

// kCorrupt, with the offset, for what is not an index, for a tensor listed twice and for a path
// that leaves the index's directory; kExhausted for more than kMaxShardIndexBytes.
base::Result<ShardIndex> parse_shard_index(std::span<const std::byte> json);

}  // namespace weighbridge::formats
