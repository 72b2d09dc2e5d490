#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/range.h"
#include "base/result.h"
#include "sync/guarded.h"

namespace weighbridge::device {

inline constexpr std::uint64_t kHugePageBytes = 2 * 1024 * 1024;

class HostPool;

// One contiguous range of host memory, aligned to 2 MiB, that costs nothing until it is touched.
// Returns itself to its pool when destroyed. Thread-safe: give_back() and the bytes of different
// parts may be used by different threads.
class HostRange {
 public:
  // `keep`: it may be kept for the next load.
  HostRange(HostPool& pool, std::span<std::byte> memory, bool keep)
      : pool_(pool), memory_(memory), keep_(keep) {}

  HostRange(const HostRange&) = delete;
  HostRange& operator=(const HostRange&) = delete;
  ~HostRange();

  std::span<std::byte> bytes() const { return memory_; }

  // Asks for huge pages where a whole one lies inside `part`. Before it is touched; advice only.
  void use_huge_pages(base::Range part) const;

  // Nobody will read `part` again: its whole pages go back to the kernel, unless they may be kept
  // for the next load. The addresses stay reserved.
  void give_back(base::Range part) const;

 private:
  HostPool& pool_;
  const std::span<std::byte> memory_;
  const bool keep_;
};

// Where host ranges come from. Keeps up to `keep_bytes` of ranges that are no longer used, still
// resident, because touching fresh memory is slower than any wire. Must outlive its ranges.
// Thread-safe.
class HostPool {
 public:
  explicit HostPool(std::uint64_t keep_bytes) : keep_bytes_(keep_bytes) {}

  HostPool(const HostPool&) = delete;
  HostPool& operator=(const HostPool&) = delete;
  ~HostPool();

  // At least `bytes` of address space; what a kept range held before is still in it.
  // kExhausted if the kernel has no room.
  base::Result<std::unique_ptr<HostRange>> reserve(std::uint64_t bytes);

  // The same, of fresh memory that is never kept: what is given back of it leaves at once.
  base::Result<std::unique_ptr<HostRange>> reserve_for_once(std::uint64_t bytes);

 private:
  friend class HostRange;

  // A kept range of about `bytes`, if there is one.
  std::optional<std::span<std::byte>> reuse(std::uint64_t bytes);

  void recycle(std::span<std::byte> memory);

  const std::uint64_t keep_bytes_;
  sync::Guarded<std::vector<std::span<std::byte>>> kept_;
};

}  // namespace weighbridge::device
