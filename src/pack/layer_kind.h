#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weighbridge::pack {

// What a file is to a model, as ModelPack divides them. (docs/formats/oci-artifact.md)
enum class LayerKind : std::uint8_t { kWeight, kWeightConfig, kCode, kDoc, kDataset };

std::string_view name_of(LayerKind kind);  // "weight.config"
std::optional<LayerKind> layer_kind_named(std::string_view name);

// A file of no known name that has at least this many bytes is taken for weights.
inline constexpr std::uint64_t kGuessedWeightBytes = 64ULL * 1024 * 1024;

// Globs of paths and what they are; the first that matches counts.
using KindRules = std::vector<std::pair<std::string, LayerKind>>;

struct KindOfFile {
  LayerKind kind = LayerKind::kCode;
  bool guessed = false;
};

KindOfFile kind_of(std::string_view path, std::uint64_t file_bytes, const KindRules& stated);

// What a file of weights is written in: "safetensors", "gguf", "onnx", "pytorch", ...; empty if its
// name does not say.
std::string_view weight_format(std::string_view path);

}  // namespace weighbridge::pack
