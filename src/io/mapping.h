#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "io/file_system.h"

namespace weighbridge::io {

// The bytes of a file as memory, for reading, shared with all who map it. Nothing is read before it
// is touched. Only for files that nobody shortens: touching what is no longer there kills the
// process. Outlives the file that it was made of. Thread-safe: it does not change.
class Mapping {
 public:
  // kUnsupported for a file that has no descriptor; kExhausted if there is no address space.
  static base::Result<std::unique_ptr<const Mapping>> of(OpenFile& file, std::uint64_t size);

  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  explicit Mapping(std::span<const std::byte> bytes) : bytes_(bytes) {}

  const std::span<const std::byte> bytes_;
};

}  // namespace weighbridge::io
