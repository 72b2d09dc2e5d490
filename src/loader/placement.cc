#include "loader/placement.h"

#include <algorithm>
#include <utility>

#include "base/units.h"

namespace weighbridge::loader {
namespace {

using device::kHugePageBytes;

constexpr std::uint64_t kSlabBytes = 64 * base::kMiB;
constexpr std::uint64_t kPackedAlignment = 64;

std::uint64_t page_of(std::uint64_t offset) {
  return offset / kHugePageBytes;
}

// Tensors [begin, end) whose 2 MiB pages touch one another.
struct Cluster {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool packed = false;
};

std::vector<Cluster> clusters_of(std::span<const model::TensorEntry* const> wanted) {
  std::vector<Cluster> clusters;
  for (std::size_t first = 0; first < wanted.size();) {
    std::uint64_t bytes = wanted[first]->bytes.size();
    std::uint64_t last_page = page_of(std::max<std::uint64_t>(wanted[first]->bytes.end, 1) - 1);
    std::size_t end = first + 1;
    for (; end < wanted.size() && page_of(wanted[end]->bytes.begin) <= last_page; ++end) {
      bytes += wanted[end]->bytes.size();
      last_page =
          std::max(last_page, page_of(std::max<std::uint64_t>(wanted[end]->bytes.end, 1) - 1));
    }
    const std::uint64_t pages = last_page - page_of(wanted[first]->bytes.begin) + 1;
    clusters.push_back({first, end, bytes < pages * kHugePageBytes / 2});
    first = end;
  }
  return clusters;
}

std::uint64_t aligned(std::uint64_t at) {
  return (at + kPackedAlignment - 1) / kPackedAlignment * kPackedAlignment;
}

}  // namespace

base::Result<Placement> Placement::plan(device::HostPool& pool,
                                        std::vector<const model::TensorEntry*> wanted) {
  Placement placement;
  placement.packed_.resize(wanted.size());
  base::Range in_place{~std::uint64_t{0}, 0};
  std::uint64_t packed_bytes = 0;
  const std::vector<Cluster> clusters = clusters_of(wanted);
  for (const Cluster& cluster : clusters) {
    for (std::size_t i = cluster.begin; i < cluster.end; ++i) {
      placement.packed_[i] = cluster.packed;
      packed_bytes += cluster.packed ? aligned(wanted[i]->bytes.size()) : 0;
    }
    if (!cluster.packed) {
      in_place.begin = std::min(in_place.begin, wanted[cluster.begin]->bytes.begin);
      in_place.end = std::max(in_place.end, wanted[cluster.end - 1]->bytes.end);
    }
  }
  for (const model::TensorEntry* entry : wanted) {
    placement.tensors_.push_back({entry, {}, nullptr});
  }
  if (in_place.begin < in_place.end) {
    placement.base_offset_ = page_of(in_place.begin) * kHugePageBytes;
    placement.in_place_ = TRY(pool.reserve(in_place.end - placement.base_offset_));
  }
  if (packed_bytes > 0) {
    placement.packed_memory_ = TRY(pool.reserve(packed_bytes));
    placement.packed_memory_->use_huge_pages({0, packed_bytes});
  }
  std::uint64_t packed_at = 0;
  for (const Cluster& cluster : clusters) {
    if (cluster.packed) {
      packed_at = placement.lay_packed(cluster.begin, cluster.end, packed_at);
    } else {
      placement.lay_in_place(cluster.begin, cluster.end);
    }
  }
  placement.cut_slabs();
  return placement;
}

void Placement::lay_in_place(std::size_t begin, std::size_t end) {
  for (std::size_t i = begin; i < end; ++i) {
    const base::Range range = tensors_[i].entry->bytes;
    if (range.empty()) {
      continue;
    }
    tensors_[i].bytes = in_place_->bytes().subspan(range.begin - base_offset_, range.size());
    if (!whole_.empty() && whole_.back().end == range.begin) {
      whole_.back().end = range.end;
    } else {
      whole_.push_back(range);
    }
  }
  for (const base::Range& range : whole_) {
    in_place_->use_huge_pages({range.begin - base_offset_, range.end - base_offset_});
  }
}

std::uint64_t Placement::lay_packed(std::size_t begin, std::size_t end, std::uint64_t at) {
  for (std::size_t i = begin; i < end; ++i) {
    const std::uint64_t size = tensors_[i].entry->bytes.size();
    if (size > 0) {
      tensors_[i].bytes = packed_memory_->bytes().subspan(at, size);
      at = aligned(at + size);
    }
  }
  return at;
}

// A slab ends where the next tensor would make it too large, so a tensor stands in exactly one.
void Placement::cut_slabs() {
  for (std::size_t first = 0; first < tensors_.size();) {
    if (tensors_[first].bytes.empty()) {
      ++first;
      continue;
    }
    const auto& memory = packed_[first] ? packed_memory_ : in_place_;
    const std::byte* const front = tensors_[first].bytes.data();
    std::size_t end = first;
    std::uint64_t bytes = 0;
    for (; end < tensors_.size() && packed_[end] == packed_[first]; ++end) {
      if (tensors_[end].bytes.empty()) {
        continue;
      }
      const std::byte* const back = tensors_[end].bytes.data() + tensors_[end].bytes.size();
      const auto with_this = static_cast<std::uint64_t>(back - front);
      if (bytes > 0 && with_this > kSlabBytes) {
        break;
      }
      bytes = with_this;
    }
    const auto begin = static_cast<std::uint64_t>(front - memory->bytes().data());
    const auto slab = std::make_shared<const Slab>(memory, base::Range{begin, begin + bytes});
    for (; first < end; ++first) {
      if (!tensors_[first].bytes.empty()) {
        tensors_[first].slab = slab;
      }
    }
  }
}

std::span<std::byte> Placement::in_place(base::Range range) const {
  const auto found = std::partition_point(
      whole_.begin(), whole_.end(), [&](const base::Range& r) { return r.end <= range.begin; });
  if (found == whole_.end() || found->begin > range.begin || found->end < range.end) {
    return {};
  }
  return in_place_->bytes().subspan(range.begin - base_offset_, range.size());
}

}  // namespace weighbridge::loader
