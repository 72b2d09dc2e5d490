#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/range.h"
#include "base/result.h"
#include "device/host_memory.h"
#include "loader/tensor.h"
#include "model/tensor.h"

namespace weighbridge::loader {

// Where the wanted tensors of one file stand in memory. Thread-compatible once planned.
//
// They stand as they stand in the file: one range of addresses a file, address and offset equal
// modulo 2 MiB, so that pieces are received where they stay. Only where less than half of the 2 MiB
// pages that neighbouring tensors touch is wanted, those are packed one behind the other and copied
// there from scratch memory.
class Placement {
 public:
  struct Placed {
    const model::TensorEntry* entry = nullptr;  // borrowed from the Index
    std::span<std::byte> bytes;
    std::shared_ptr<const Slab> slab;
  };

  // `wanted` in order of their bytes. kExhausted if there is no address space.
  static base::Result<Placement> plan(device::HostPool& pool,
                                      std::vector<const model::TensorEntry*> wanted);

  // In order of their bytes in the file.
  std::span<const Placed> tensors() const { return tensors_; }

  // The final place of these bytes of the file, if they are all wanted and stand as in the file;
  // else empty.
  std::span<std::byte> in_place(base::Range range) const;

  // Lets go of what only the tensors handed over need from now on.
  void release(std::size_t tensor) { tensors_[tensor].slab.reset(); }

 private:
  void lay_in_place(std::size_t begin, std::size_t end);
  std::uint64_t lay_packed(std::size_t begin, std::size_t end, std::uint64_t at);
  void cut_slabs();

  std::vector<Placed> tensors_;
  std::vector<bool> packed_;        // a tensor each
  std::vector<base::Range> whole_;  // of the file: all wanted, in place; in order
  std::uint64_t base_offset_ = 0;   // of the file: what stands at in_place_'s front
  std::shared_ptr<const device::HostRange> in_place_;
  std::shared_ptr<const device::HostRange> packed_memory_;
};

}  // namespace weighbridge::loader
