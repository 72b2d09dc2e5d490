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

namespace weighbridge::loader {

// Where the wanted tensors of one file stand in memory. Thread-compatible once planned.
//
// They stand as they stand in the file: one range of addresses a file, address and offset equal
// modulo 2 MiB, so that pieces are received where they stay. Only where less than half of the 2 MiB
// pages that neighbouring tensors touch is wanted, those are packed one behind the other and copied
// there from scratch memory.
//
// A wanted tensor costs 4 bytes here, a packed one 12.
class Placement {
 public:
  static constexpr std::uint64_t kSlabBytes = 64 * 1024 * 1024;

  struct Options {
    // A slab is no larger, unless a single tensor is.
    std::uint64_t slab_bytes = kSlabBytes;
    // What is given back leaves memory, and no page reaches over a slab's end: the memory of a
    // slab is then as large as the slab says.
    bool exact = false;
  };

  // A slab as it was cut.
  struct Cut {
    std::size_t end = 0;      // its tensors end before this one
    std::size_t tensors = 0;  // of them those that have bytes
    base::Range file;         // where in the file they stand
    base::Range memory;       // where in memory
    bool packed = false;
    std::shared_ptr<const Slab> slab;

    // What it takes, in whole pages.
    std::uint64_t memory_bytes() const;
  };

  // `wanted`: indices into the file's table, in order. kExhausted if there is no address space.
  static base::Result<Placement> plan(device::HostPool& pool,
                                      std::shared_ptr<const TensorFile> file,
                                      std::vector<std::uint32_t> wanted,
                                      Options options);

  // How many tensors are wanted. They are numbered in order of their bytes.
  std::size_t size() const { return wanted_.size(); }

  // Its index in the file's table.
  std::size_t index_of(std::size_t tensor) const { return wanted_[tensor]; }

  // Where its bytes stand in the file.
  base::Range range_of(std::size_t tensor) const {
    return file_->table->tensors.bytes_of(wanted_[tensor]);
  }

  // Where its bytes stand in memory.
  std::span<std::byte> bytes_of(std::size_t tensor) const;

  // In order; every tensor that has bytes is in one of them.
  std::span<const Cut> slabs() const { return slabs_; }

  std::size_t slab_of(std::size_t tensor) const;

  // What tensors without bytes share.
  const std::shared_ptr<const Slab>& no_memory() const { return no_memory_; }

  // The final place of these bytes of the file, if they are all wanted and stand as in the file;
  // else empty.
  std::span<std::byte> in_place(base::Range range) const;

  // Lets go of what only the tensors handed over need from now on.
  void release(std::size_t slab) { slabs_[slab].slab.reset(); }

 private:
  static constexpr std::uint64_t kInPlace = ~std::uint64_t{0};

  bool is_packed(std::size_t tensor) const {
    return !packed_at_.empty() && packed_at_[tensor] != kInPlace;
  }

  void lay_in_place(std::size_t begin, std::size_t end);
  // The memory of one slab, from that of `first` on.
  Cut cut_from(std::size_t first, std::uint64_t limit_bytes) const;
  void cut_slabs(std::uint64_t limit_bytes);
  void make_slabs(bool packed);
  void ask_for_huge_pages(bool by_slab) const;

  const std::shared_ptr<const device::HostRange>& memory_of(const Cut& cut) const {
    return cut.packed ? packed_memory_ : in_place_;
  }

  std::shared_ptr<const TensorFile> file_;
  std::vector<std::uint32_t> wanted_;
  std::vector<std::uint64_t> packed_at_;  // where in packed_memory_; empty if none is packed
  std::vector<base::Range> whole_;        // of the file: all wanted, in place; in order
  std::uint64_t base_offset_ = 0;         // of the file: what stands at in_place_'s front
  std::shared_ptr<const device::HostRange> in_place_;
  std::shared_ptr<const device::HostRange> packed_memory_;
  std::shared_ptr<const Slab> no_memory_;
  std::vector<Cut> slabs_;
};

}  // namespace weighbridge::loader
