#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/tensor.h"

namespace weighbridge::formats::testing {

// One tensor of a table that no file stands behind.
struct MadeRow {
  std::string name;
  model::Dtype dtype = model::Dtype::kU8;
  std::vector<std::uint64_t> shape;
  std::uint64_t bytes = 0;
};

// These tensors one after the other, from the file's first byte on.
inline model::TensorTable make_table(const std::vector<MadeRow>& rows) {
  model::TensorTable::Parts parts;
  for (const MadeRow& row : rows) {
    parts.rows.push_back({parts.end,
                          static_cast<std::uint32_t>(parts.names.size()),
                          static_cast<std::uint32_t>(parts.dimensions.size()),
                          static_cast<std::uint16_t>(row.name.size()),
                          static_cast<std::uint8_t>(row.shape.size()),
                          row.dtype});
    parts.names += row.name;
    parts.dimensions.insert(parts.dimensions.end(), row.shape.begin(), row.shape.end());
    parts.end += row.bytes;
  }
  return model::TensorTable(std::move(parts));
}

}  // namespace weighbridge::formats::testing
