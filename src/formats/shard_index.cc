#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "formats/json_cursor.h"
#include "formats/safetensors.h"
#include "model/snapshot.h"

namespace weighbridge::formats {
namespace {

using base::Code;
using base::Error;
using base::Result;

using WeightMap = std::map<std::string, std::string, std::less<>>;

Error corrupt(std::uint64_t offset, std::string message) {
  return Error(Code::kCorrupt, std::move(message)).at(offset);
}

Result<void> check_entry(std::string_view name,
                         std::uint64_t name_offset,
                         std::string_view file,
                         std::uint64_t file_offset) {
  if (name.size() > kMaxTensorNameBytes) {
    return corrupt(
        name_offset,
        fmt::format(
            "a tensor name of {} bytes, at most {} are allowed", name.size(), kMaxTensorNameBytes));
  }
  if (!model::is_snapshot_path(file)) {
    return corrupt(
        file_offset,
        fmt::format("tensor '{}' is said to be in '{}', which is no path beside the index",
                    base::printable(name),
                    base::printable(file)));
  }
  return {};
}

Result<WeightMap> read_weight_map(JsonCursor& json) {
  WeightMap map;
  std::string unescaped;
  TRY(json.each_member([&](std::string_view name, std::uint64_t name_offset) -> Result<void> {
    const std::uint64_t file_offset = json.offset();
    const std::string_view file = TRY(json.string(unescaped));
    TRY(check_entry(name, name_offset, file, file_offset));
    const auto [at, added] = map.try_emplace(std::string(name), file);
    if (!added) {
      return corrupt(name_offset,
                     fmt::format("tensor '{}' stands there twice", base::printable(at->first)));
    }
    return {};
  }));
  return map;
}

// An object whose members nobody needs.
Result<void> skip_object(JsonCursor& json) {
  return json.each_member([&](std::string_view, std::uint64_t) { return json.skip(); });
}

// What has been read of the index so far.
struct Members {
  std::optional<WeightMap> weight_map;
  bool metadata = false;
};

Result<void> read_member(JsonCursor& json,
                         std::string_view key,
                         std::uint64_t offset,
                         Members& members) {
  if ((key == "weight_map" && members.weight_map) || (key == "metadata" && members.metadata)) {
    return corrupt(offset, "a second one");
  }
  if (key == "weight_map") {
    members.weight_map = TRY(read_weight_map(json));
    return {};
  }
  if (key == "metadata") {
    members.metadata = true;
    return skip_object(json);
  }
  return json.skip();
}

Result<WeightMap> read_index(std::string_view text) {
  JsonCursor json(text, 0);
  Members members;
  TRY(json.each_member([&](std::string_view key, std::uint64_t offset) -> Result<void> {
    Result<void> read = read_member(json, key, offset, members);
    if (!read.ok()) {
      return std::move(read).error().context(base::printable(key));
    }
    return {};
  }));
  if (json.offset() != text.size()) {
    return corrupt(json.offset(), "expected nothing after the object");
  }
  if (!members.weight_map || members.weight_map->empty()) {
    return corrupt(0, members.weight_map ? "weight_map is empty" : "weight_map is missing");
  }
  return *std::move(members.weight_map);
}

std::vector<std::string> files_in(const WeightMap& map) {
  std::set<std::string_view> files;
  for (const auto& [name, file] : map) {
    files.insert(file);
  }
  return {files.begin(), files.end()};
}

}  // namespace

Result<ShardIndex> parse_shard_index(std::span<const std::byte> json) {
  if (json.size() > kMaxShardIndexBytes) {
    return Error(
        Code::kExhausted,
        fmt::format(
            "a shard index of {} bytes, at most {} are allowed", json.size(), kMaxShardIndexBytes));
  }
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes read as characters
  WeightMap map = TRY(read_index({reinterpret_cast<const char*>(json.data()), json.size()}));
  std::vector<std::string> files = files_in(map);
  return ShardIndex{std::move(map), std::move(files)};
}

}  // namespace weighbridge::formats
