#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "device/host_memory.h"
#include "model/proof.h"
#include "model/tensor.h"

namespace weighbridge::loader {

// Neighbouring tensors that share memory, at most 64 MiB unless a single tensor is larger. Given
// back when the last of them is dropped. Thread-safe: it does not change.
class Slab {
 public:
  Slab(std::shared_ptr<const device::HostRange> memory, base::Range part)
      : memory_(std::move(memory)), part_(part) {}

  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  ~Slab() { memory_->give_back(part_); }

 private:
  const std::shared_ptr<const device::HostRange> memory_;
  const base::Range part_;
};

// A tensor in host memory: a counted view. Its bytes are proved, stay where they are and stay
// valid while any copy of it lives, whatever happens to the Loader. Aligned as a mapping of its
// file would be. A value; Thread-compatible.
struct Tensor {
  std::string name;
  model::Dtype dtype = model::Dtype::kU8;
  std::vector<std::uint64_t> shape;
  std::string file;  // its path in the Snapshot
  model::Proof proof;
  std::span<const std::byte> bytes;  // row-major, little-endian
  std::shared_ptr<const Slab> memory;
};

}  // namespace weighbridge::loader
