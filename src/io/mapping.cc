#include "io/mapping.h"

#include <sys/mman.h>

namespace weighbridge::io {

using base::Code;
using base::Error;
using base::Result;

Result<std::unique_ptr<const Mapping>> Mapping::of(OpenFile& file, std::uint64_t size) {
  if (file.descriptor() < 0) {
    return Error(Code::kUnsupported, "this file cannot be mapped");
  }
  std::span<const std::byte> bytes;
  if (size > 0) {
    void* const memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.descriptor(), 0);
    if (memory == MAP_FAILED) {  // NOLINT: the system's own cast
      return Error(Code::kExhausted, "no address space to map a file");
    }
    bytes = {static_cast<const std::byte*>(memory), size};
  }
  return std::unique_ptr<const Mapping>(new Mapping(bytes));  // NOLINT: private
}

Mapping::~Mapping() {
  if (!bytes_.empty()) {
    ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());  // NOLINT: as the system has it
  }
}

}  // namespace weighbridge::io
