#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
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

// One tensor in a file: where its bytes stand, row-major, little-endian. A view: name and shape
// belong to the table that it comes from.
struct TensorEntry {
  std::string_view name;
  Dtype dtype = Dtype::kU8;
  std::span<const std::uint64_t> shape;  // empty: a scalar
  base::Range bytes;                     // absolute in the file
};

// The tensors of one file, in order of their bytes, each beginning where the one before it ends.
// 24 bytes a tensor beside its name and shape, as there may be a million. A value;
// Thread-compatible.
class TensorTable {
 public:
  // What a row says of its name and shape is where they stand in `names` and `dimensions`.
  struct Row {
    std::uint64_t begin = 0;  // absolute in the file; the end is where the next one begins
    std::uint32_t name_at = 0;
    std::uint32_t shape_at = 0;
    std::uint16_t name_bytes = 0;
    std::uint8_t shape_size = 0;
    Dtype dtype = Dtype::kU8;
  };

  struct Parts {
    std::string names;
    std::vector<std::uint64_t> dimensions;
    std::vector<Row> rows;
    std::uint64_t end = 0;  // of the last tensor
  };

  // Goes through the entries, which are made on the way. Thread-compatible.
  class Iterator {
   public:
    using value_type = TensorEntry;
    using difference_type = std::ptrdiff_t;

    Iterator() = default;

    Iterator(const TensorTable& table, std::size_t at) : table_(&table), at_(at) {}

    TensorEntry operator*() const { return (*table_)[at_]; }

    Iterator& operator++() {
      ++at_;
      return *this;
    }

    Iterator operator++(int) { return {*table_, at_++}; }

    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    const TensorTable* table_ = nullptr;  // outlives its iterators
    std::size_t at_ = 0;
  };

  TensorTable() = default;

  explicit TensorTable(Parts parts) : parts_(std::move(parts)) {}

  std::size_t size() const { return parts_.rows.size(); }

  bool empty() const { return parts_.rows.empty(); }

  // Valid as long as the table.
  TensorEntry operator[](std::size_t i) const {
    const Row& row = parts_.rows[i];
    return {std::string_view(parts_.names).substr(row.name_at, row.name_bytes),
            row.dtype,
            std::span(parts_.dimensions).subspan(row.shape_at, row.shape_size),
            bytes_of(i)};
  }

  // The same as `[i].bytes`, for less.
  base::Range bytes_of(std::size_t i) const {
    const bool last = i + 1 == parts_.rows.size();
    return {parts_.rows[i].begin, last ? parts_.end : parts_.rows[i + 1].begin};
  }

  Iterator begin() const { return {*this, 0}; }

  Iterator end() const { return {*this, size()}; }

 private:
  Parts parts_;
};

}  // namespace weighbridge::model
