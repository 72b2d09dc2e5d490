#include "device/host_memory.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <sys/mman.h>

#include <fmt/format.h>

#include "base/units.h"

namespace weighbridge::device {
namespace {

constexpr std::uint64_t kPageBytes = 4096;
constexpr std::uint64_t kMaxRangeBytes = std::uint64_t{1} << 62U;  // rounded up it still fits

std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

std::uint64_t round_down(std::uint64_t value, std::uint64_t unit) {
  return value / unit * unit;
}

void unmap(std::span<std::byte> memory) {
  munmap(memory.data(), memory.size());
}

std::uint64_t mapped_bytes(std::uint64_t bytes) {
  return round_up(std::clamp<std::uint64_t>(bytes, 1, kMaxRangeBytes), kHugePageBytes);
}

// One huge page more than wanted, then the ends are cut so that the rest is aligned.
base::Result<std::span<std::byte>> map(std::uint64_t bytes) {
  const std::uint64_t wanted = mapped_bytes(bytes);
  void* const mapped = bytes > kMaxRangeBytes ? MAP_FAILED
                                              : mmap(nullptr,
                                                     wanted + kHugePageBytes,
                                                     PROT_READ | PROT_WRITE,
                                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                                                     -1,
                                                     0);
  if (mapped == MAP_FAILED) {
    return base::Error(base::Code::kExhausted,
                       fmt::format("no address space for {}", base::format_bytes(bytes)));
  }
  const std::span<std::byte> all(static_cast<std::byte*>(mapped), wanted + kHugePageBytes);
  const auto address = reinterpret_cast<std::uintptr_t>(mapped);
  const std::uint64_t before = round_up(address, kHugePageBytes) - address;
  if (before > 0) {
    unmap(all.first(before));
  }
  if (before < kHugePageBytes) {
    unmap(all.subspan(before + wanted));
  }
  return all.subspan(before, wanted);
}

}  // namespace

HostRange::~HostRange() {
  if (keep_) {
    pool_.recycle(memory_);
  } else {
    unmap(memory_);
  }
}

void HostRange::use_huge_pages(base::Range part) const {
  const std::uint64_t begin = round_up(part.begin, kHugePageBytes);
  const std::uint64_t end =
      round_down(std::min<std::uint64_t>(part.end, memory_.size()), kHugePageBytes);
  if (begin < end) {
    madvise(memory_.data() + begin, end - begin, MADV_HUGEPAGE);
  }
}

void HostRange::give_back(base::Range part) const {
  if (keep_) {
    return;
  }
  const std::uint64_t begin = round_up(part.begin, kPageBytes);
  const std::uint64_t end = round_down(part.end, kPageBytes);
  if (begin < end) {
    madvise(memory_.data() + begin, end - begin, MADV_DONTNEED);
  }
}

HostPool::~HostPool() {
  kept_.with([](std::vector<std::span<std::byte>>& kept) {
    std::for_each(kept.begin(), kept.end(), unmap);
    kept.clear();
  });
}

base::Result<std::unique_ptr<HostRange>> HostPool::reserve(std::uint64_t bytes) {
  const bool keep = keep_bytes_ > 0;
  if (const auto reused = reuse(bytes)) {
    return std::make_unique<HostRange>(*this, *reused, keep);
  }
  return std::make_unique<HostRange>(*this, TRY(map(bytes)), keep);
}

base::Result<std::unique_ptr<HostRange>> HostPool::reserve_for_once(std::uint64_t bytes) {
  return std::make_unique<HostRange>(*this, TRY(map(bytes)), false);
}

// A kept range at most twice as large, so that a small one does not sit on a large one.
std::optional<std::span<std::byte>> HostPool::reuse(std::uint64_t bytes) {
  return kept_.with(
      [&](std::vector<std::span<std::byte>>& kept) -> std::optional<std::span<std::byte>> {
        const auto fits = [&](std::span<std::byte> range) {
          return range.size() >= bytes && range.size() / 2 <= mapped_bytes(bytes);
        };
        const auto found = std::find_if(kept.begin(), kept.end(), fits);
        if (found == kept.end()) {
          return std::nullopt;
        }
        const std::span<std::byte> range = *found;
        kept.erase(found);
        return range;
      });
}

void HostPool::recycle(std::span<std::byte> memory) {
  const bool keep = kept_.with([&](std::vector<std::span<std::byte>>& kept) {
    std::uint64_t total = memory.size();
    for (const std::span<std::byte> range : kept) {
      total += range.size();
    }
    if (total <= keep_bytes_) {
      kept.push_back(memory);
    }
    return total <= keep_bytes_;
  });
  if (!keep) {
    unmap(memory);
  }
}

}  // namespace weighbridge::device
