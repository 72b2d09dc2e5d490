#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "formats/safetensors.h"
#include "model/snapshot.h"
#include "pack/description.h"

namespace weighbridge::pack {

inline constexpr std::string_view kModelConfigName = "config.json";
inline constexpr std::uint64_t kMaxModelConfigBytes = 4 * 1024 * 1024;

// What the files of a model say about it, by themselves. Nothing of it is an error: a config.json
// that cannot be read, or tables that are not there, leave the fields they would fill empty.
struct Evidence {
  std::span<const model::File> files;
  std::optional<std::string_view> config_json;
  // Of all files with tensors; empty if one of them could not be read.
  std::span<const formats::SafetensorsTable* const> tables;
};

Description infer(const Evidence& evidence);

// "8.0b": ModelPack's way to write a number of parameters.
std::string param_size(std::uint64_t parameters);
// "bfloat16": ModelPack's name of an element type.
std::string_view precision_of(model::Dtype dtype);

}  // namespace weighbridge::pack
