#include "pack/infer.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/json.h"
#include "base/units.h"
#include "pack/layer_kind.h"

namespace weighbridge::pack {
namespace {

using base::Result;

// What config.json says; a member of another type than is usual says nothing.
struct ModelConfig {
  std::string model_type;
  bool is_transformer = false;
  bool is_quantized = false;
  std::string quantization;
};

std::string text_or_nothing(base::JsonValue value) {
  const auto text = value.as_string();
  return text.ok() ? std::string(text.value()) : std::string();
}

Result<void> take_member(std::string_view key, base::JsonValue value, ModelConfig& config) {
  if (key == "model_type") {
    config.model_type = text_or_nothing(value);
  } else if (key == "transformers_version" || key == "architectures") {
    config.is_transformer = true;
  } else if (key == "quantization_config" && !value.is_null()) {
    config.is_quantized = true;
    return value.each_member([&](std::string_view inner, base::JsonValue method) -> Result<void> {
      if (inner == "quant_method") {
        config.quantization = text_or_nothing(method);
      }
      return {};
    });
  }
  return {};
}

ModelConfig read_config(std::optional<std::string_view> text) {
  ModelConfig config;
  if (!text) {
    return config;
  }
  const auto document = base::JsonDocument::parse(*text);
  if (document.ok()) {
    // What a broken member leaves out is not known.
    const Result<void> read =
        document.value().root().each_member([&](std::string_view key, base::JsonValue value) {
          return take_member(key, value, config);
        });
    return read.ok() ? config : ModelConfig{};
  }
  return config;
}

// The format that has most bytes; of equals the first by name.
std::string format_of(std::span<const model::File> files) {
  std::map<std::string_view, std::uint64_t> bytes;
  for (const model::File& file : files) {
    if (kind_of(file.path, file.size, {}).kind == LayerKind::kWeight) {
      if (const std::string_view format = weight_format(file.path); !format.empty()) {
        bytes[format] += file.size;
      }
    }
  }
  const auto most = std::max_element(
      bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? std::string() : std::string(most->first);
}

// How many elements there are of each type; nothing if that does not fit in 64 bits.
std::optional<std::map<model::Dtype, std::uint64_t>> count_elements(
    std::span<const formats::SafetensorsTable* const> tables) {
  std::map<model::Dtype, std::uint64_t> counts;
  for (const formats::SafetensorsTable* table : tables) {
    for (const model::TensorEntry& tensor : table->tensors) {
      std::uint64_t elements = 1;
      for (const std::uint64_t dimension : tensor.shape) {
        const auto product = base::checked_multiply(elements, dimension);
        if (!product) {
          return std::nullopt;
        }
        elements = *product;
      }
      const auto sum = base::checked_add(counts[tensor.dtype], elements);
      if (!sum) {
        return std::nullopt;
      }
      counts[tensor.dtype] = *sum;
    }
  }
  return counts;
}

std::string precisions(const std::map<model::Dtype, std::uint64_t>& counts, std::uint64_t total) {
  std::vector<std::pair<model::Dtype, std::uint64_t>> shares(counts.begin(), counts.end());
  std::stable_sort(shares.begin(), shares.end(), [](const auto& a, const auto& b) {
    return a.second > b.second;
  });
  std::string names;
  for (const auto& [dtype, count] : shares) {
    if (count != 0 && count >= total / 100) {
      names += fmt::format("{}{}", names.empty() ? "" : ",", precision_of(dtype));
    }
  }
  return names;
}

}  // namespace

Description infer(const Evidence& evidence) {
  const ModelConfig config = read_config(evidence.config_json);
  Description found;
  found.family = config.model_type;
  found.architecture = config.is_transformer ? "transformer" : "";
  found.quantization = config.quantization;
  found.format = format_of(evidence.files);
  const auto counts = count_elements(evidence.tables);
  if (!counts) {
    return found;
  }
  std::uint64_t total = 0;
  for (const auto& [dtype, count] : *counts) {
    const auto sum = base::checked_add(total, count);
    if (!sum) {
      return found;
    }
    total = *sum;
  }
  found.precision = precisions(*counts, total);
  if (total != 0 && !config.is_quantized) {
    found.param_size = param_size(total);
  }
  return found;
}

std::string param_size(std::uint64_t parameters) {
  constexpr std::array<std::pair<std::uint64_t, char>, 5> kScales{{{1'000'000'000'000'000, 'q'},
                                                                   {1'000'000'000'000, 't'},
                                                                   {1'000'000'000, 'b'},
                                                                   {1'000'000, 'm'},
                                                                   {1'000, 'k'}}};
  for (const auto& [scale, letter] : kScales) {
    // 999,950 is already 1.0m.
    if (parameters >= scale - scale / 20'000) {
      const std::uint64_t tenths = (parameters / (scale / 20) + 1) / 2;
      return fmt::format("{}.{}{}", tenths / 10, tenths % 10, letter);
    }
  }
  return fmt::format("{}.{}k", (parameters + 50) / 1000, (parameters + 50) / 100 % 10);
}

std::string_view precision_of(model::Dtype dtype) {
  using model::Dtype;
  switch (dtype) {
    case Dtype::kBool:
      return "bool";
    case Dtype::kF4:
      return "float4_e2m1";
    case Dtype::kF6E2M3:
      return "float6_e2m3";
    case Dtype::kF6E3M2:
      return "float6_e3m2";
    case Dtype::kU8:
      return "uint8";
    case Dtype::kI8:
      return "int8";
    case Dtype::kF8E5M2:
    case Dtype::kF8E5M2Fnuz:
      return "float8_e5m2";
    case Dtype::kF8E4M3:
    case Dtype::kF8E4M3Fnuz:
      return "float8_e4m3";
    case Dtype::kF8E8M0:
      return "float8_e8m0";
    case Dtype::kI16:
      return "int16";
    case Dtype::kU16:
      return "uint16";
    case Dtype::kF16:
      return "float16";
    case Dtype::kBf16:
      return "bfloat16";
    case Dtype::kI32:
      return "int32";
    case Dtype::kU32:
      return "uint32";
    case Dtype::kF32:
      return "float32";
    case Dtype::kC64:
      return "complex64";
    case Dtype::kF64:
      return "float64";
    case Dtype::kI64:
      return "int64";
    case Dtype::kU64:
      break;
  }
  return "uint64";
}

}  // namespace weighbridge::pack
