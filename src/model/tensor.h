#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/range.h"

namespace weighbridge::model {

// Element types, as safetensors names them. Sub-byte types pack their elements without gaps.
enum class Dtype : std::uint8_t {
  kBool,
  kF4,
  kF6E2M3,
  kF6E3M2,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,
  kF8E8M0,
  kF8E4M3Fnuz,
  kF8E5M2Fnuz,
  kI16,
  kU16,
  kF16,
  kBf16,
  kI32,
  kU32,
  kF32,
  kC64,
  kF64,
  kI64,
  kU64,
};

std::string_view name_of(Dtype dtype);  // "BF16"
std::optional<Dtype> dtype_named(std::string_view name);
std::uint64_t bits_of(Dtype dtype);

// One tensor in a file: where its bytes stand, row-major, little-endian.
struct TensorEntry {
  std::string name;
  Dtype dtype = Dtype::kU8;
  std::vector<std::uint64_t> shape;  // empty: a scalar
  base::Range bytes;                 // absolute in the file
};

}  // namespace weighbridge::model
