#include "loader/placement.h"

#include <algorithm>
#include <utility>

#include "base/units.h"

namespace weighbridge::loader {
namespace {

using base::Range;
using device::kHugePageBytes;

constexpr std::uint64_t kPackedAlignment = 64;
constexpr std::uint64_t kPageBytes = 4096;

static_assert(Placement::kSlabBytes == 64 * base::kMiB);

std::uint64_t page_of(std::uint64_t offset) {
  return offset / kHugePageBytes;
}

std::uint64_t last_page_of(Range range) {
  return page_of(std::max<std::uint64_t>(range.end, 1) - 1);
}

// Tensors [begin, end) whose 2 MiB pages touch one another.
struct Cluster {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool packed = false;
};

std::vector<Cluster> clusters_of(const model::TensorTable& table,
                                 std::span<const std::uint32_t> wanted) {
  std::vector<Cluster> clusters;
  for (std::size_t first = 0; first < wanted.size();) {
    const Range front = table.bytes_of(wanted[first]);
    std::uint64_t bytes = front.size();
    std::uint64_t last_page = last_page_of(front);
    std::size_t end = first + 1;
    for (; end < wanted.size(); ++end) {
      const Range range = table.bytes_of(wanted[end]);
      if (page_of(range.begin) > last_page) {
        break;
      }
      bytes += range.size();
      last_page = std::max(last_page, last_page_of(range));
    }
    const std::uint64_t pages = last_page - page_of(front.begin) + 1;
    clusters.push_back({first, end, bytes < pages * kHugePageBytes / 2});
    first = end;
  }
  return clusters;
}

std::uint64_t aligned(std::uint64_t at, std::uint64_t to) {
  return base::divide_up(at, to) * to;
}

// The pages that these bytes touch.
Range pages_of(Range bytes) {
  return {bytes.begin / kPageBytes * kPageBytes, aligned(bytes.end, kPageBytes)};
}

}  // namespace

base::Result<Placement> Placement::plan(device::HostPool& pool,
                                        std::shared_ptr<const TensorFile> file,
                                        std::vector<std::uint32_t> wanted,
                                        Options options) {
  Placement placement;
  placement.no_memory_ = std::make_shared<const Slab>(file, nullptr, Range());
  placement.file_ = std::move(file);
  placement.wanted_ = std::move(wanted);
  Range in_place{~std::uint64_t{0}, 0};
  std::uint64_t packed_bytes = 0;
  for (const Cluster& cluster : clusters_of(placement.file_->table->tensors, placement.wanted_)) {
    if (!cluster.packed) {
      in_place.begin = std::min(in_place.begin, placement.range_of(cluster.begin).begin);
      in_place.end = std::max(in_place.end, placement.range_of(cluster.end - 1).end);
      placement.lay_in_place(cluster.begin, cluster.end);
      continue;
    }
    placement.packed_at_.resize(placement.size(), kInPlace);
    for (std::size_t i = cluster.begin; i < cluster.end; ++i) {
      placement.packed_at_[i] = packed_bytes;
      packed_bytes += aligned(placement.range_of(i).size(), kPackedAlignment);
    }
  }
  const auto reserve = [&](std::uint64_t bytes) {
    return options.exact ? pool.reserve_for_once(bytes) : pool.reserve(bytes);
  };
  if (in_place.begin < in_place.end) {
    placement.base_offset_ = page_of(in_place.begin) * kHugePageBytes;
    placement.in_place_ = TRY(reserve(in_place.end - placement.base_offset_));
  }
  if (packed_bytes > 0) {
    placement.packed_memory_ = TRY(reserve(packed_bytes));
  }
  placement.cut_slabs(options.slab_bytes);
  placement.make_slabs(false);
  placement.make_slabs(true);
  placement.ask_for_huge_pages(options.exact);
  return placement;
}

void Placement::lay_in_place(std::size_t begin, std::size_t end) {
  for (std::size_t i = begin; i < end; ++i) {
    const Range range = range_of(i);
    if (range.empty()) {
      continue;
    }
    if (!whole_.empty() && whole_.back().end == range.begin) {
      whole_.back().end = range.end;
    } else {
      whole_.push_back(range);
    }
  }
}

std::span<std::byte> Placement::bytes_of(std::size_t tensor) const {
  const Range range = range_of(tensor);
  if (range.empty()) {
    return {};
  }
  return is_packed(tensor) ? packed_memory_->bytes().subspan(packed_at_[tensor], range.size())
                           : in_place_->bytes().subspan(range.begin - base_offset_, range.size());
}

std::uint64_t Placement::Cut::memory_bytes() const {
  return pages_of(memory).size();
}

Placement::Cut Placement::cut_from(std::size_t first, std::uint64_t limit_bytes) const {
  Cut cut;
  cut.packed = is_packed(first);
  cut.file = range_of(first);
  const std::byte* const front = memory_of(cut)->bytes().data();
  cut.memory.begin = static_cast<std::uint64_t>(bytes_of(first).data() - front);
  cut.memory.end = cut.memory.begin;
  for (cut.end = first; cut.end < size() && is_packed(cut.end) == cut.packed; ++cut.end) {
    const std::span<std::byte> tensor = bytes_of(cut.end);
    if (tensor.empty()) {
      continue;
    }
    const auto end = static_cast<std::uint64_t>(tensor.data() + tensor.size() - front);
    if (cut.tensors > 0 && end - cut.memory.begin > limit_bytes) {
      break;
    }
    cut.memory.end = end;
    cut.file.end = range_of(cut.end).end;
    ++cut.tensors;
  }
  return cut;
}

// A slab ends where the next tensor would make it too large, so a tensor stands in exactly one.
void Placement::cut_slabs(std::uint64_t limit_bytes) {
  for (std::size_t next = 0; next < size();) {
    if (range_of(next).empty()) {
      ++next;
      continue;
    }
    slabs_.push_back(cut_from(next, limit_bytes));
    next = slabs_.back().end;
  }
}

// The page in which one slab ends and the next of the same memory begins can only be given back
// with the last of all that stand in it, which may be more than two.
void Placement::make_slabs(bool packed) {
  std::vector<Cut*> cuts;
  for (Cut& cut : slabs_) {
    if (cut.packed == packed) {
      cuts.push_back(&cut);
    }
  }
  std::shared_ptr<const Slab> front;
  Range front_page;
  for (std::size_t i = 0; i < cuts.size(); ++i) {
    Cut& cut = *cuts[i];
    const auto& memory = memory_of(cut);
    const Range last_page = pages_of({cut.memory.end - 1, cut.memory.end});
    Range own = pages_of(cut.memory);
    std::shared_ptr<const Slab> back;
    if (i + 1 < cuts.size() && cuts[i + 1]->memory.begin < last_page.end) {
      own.end = last_page.begin;
      back = front != nullptr && front_page == last_page
                 ? front
                 : std::make_shared<const Slab>(file_, memory, last_page);
    }
    if (front != nullptr) {
      own.begin = front_page.end;
    }
    cut.slab = std::make_shared<const Slab>(file_, memory, own, Slab::Edges{front, back});
    front = std::move(back);
    front_page = last_page;
  }
}

void Placement::ask_for_huge_pages(bool by_slab) const {
  if (by_slab) {
    for (const Cut& cut : slabs_) {
      memory_of(cut)->use_huge_pages(cut.memory);
    }
    return;
  }
  for (const Range& range : whole_) {
    in_place_->use_huge_pages({range.begin - base_offset_, range.end - base_offset_});
  }
  if (packed_memory_ != nullptr) {
    packed_memory_->use_huge_pages({0, packed_memory_->bytes().size()});
  }
}

std::size_t Placement::slab_of(std::size_t tensor) const {
  const auto found = std::partition_point(
      slabs_.begin(), slabs_.end(), [&](const Cut& cut) { return cut.end <= tensor; });
  return static_cast<std::size_t>(found - slabs_.begin());
}

std::span<std::byte> Placement::in_place(Range range) const {
  const auto found = std::partition_point(
      whole_.begin(), whole_.end(), [&](const Range& r) { return r.end <= range.begin; });
  if (found == whole_.end() || found->begin > range.begin || found->end < range.end) {
    return {};
  }
  return in_place_->bytes().subspan(range.begin - base_offset_, range.size());
}

}  // namespace weighbridge::loader
