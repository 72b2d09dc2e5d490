#include "loader/tensor_sink.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "hash/hash_tree.h"

namespace weighbridge::loader {

using base::Range;
using base::Result;

namespace {

std::uint32_t pieces_touched(Range range) {
  if (range.empty()) {
    return 0;
  }
  return static_cast<std::uint32_t>((range.end - 1) / hash::kPieceBytes -
                                    range.begin / hash::kPieceBytes + 1);
}

}  // namespace

TensorSink::Target::Target(Placement where,
                           index::LookedAt front,
                           std::uint32_t file,
                           std::size_t first)
    : placement(std::move(where)),
      looked_at(std::move(front)),
      number(file),
      first_slab(first),
      missing(placement.size()),
      untaken(placement.slabs().size()) {
  for (std::size_t i = 0; i < missing.size(); ++i) {
    missing[i].store(pieces_touched(placement.range_of(i)), std::memory_order_relaxed);
  }
  for (std::size_t i = 0; i < untaken.size(); ++i) {
    untaken[i].store(placement.slabs()[i].tensors, std::memory_order_relaxed);
  }
}

void TensorSink::add(Added added) {
  std::vector<std::uint64_t> slab_bytes;
  for (const Placement::Cut& cut : added.placement.slabs()) {
    slab_bytes.push_back(cut.memory_bytes() + hash::kPieceBytes);
  }
  admission_.add(slab_bytes, added.whole_only);
  targets_.push_back(std::make_unique<Target>(std::move(added.placement),
                                              std::move(added.looked_at),
                                              static_cast<std::uint32_t>(targets_.size()),
                                              slab_count_));
  slab_count_ += slab_bytes.size();
  target_of_.emplace(&added.file, targets_.back().get());
}

template <typename Use>
void TensorSink::each_in(const Target& target, Range piece, Use&& use) {
  const Placement& placement = target.placement;
  std::size_t begin = 0;
  for (std::size_t end = placement.size(); begin < end;) {
    const std::size_t middle = begin + (end - begin) / 2;
    if (placement.range_of(middle).end <= piece.begin) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  for (; begin < placement.size(); ++begin) {
    const Range range = placement.range_of(begin);
    if (range.begin >= piece.end) {
      return;
    }
    const Range overlap{std::max(range.begin, piece.begin), std::min(range.end, piece.end)};
    if (!overlap.empty()) {
      use(begin, overlap);
    }
  }
}

// A piece needs the first slab that stands in it. What it holds of the next ones lands before their
// admission, and is paid for by that first one: else it could not be finished without them.
std::size_t TensorSink::slabs_for(const Target& target, Range pieces) {
  const std::uint64_t last_piece =
      (std::max<std::uint64_t>(pieces.end, 1) - 1) / hash::kPieceBytes * hash::kPieceBytes;
  const auto slabs = target.placement.slabs();
  const auto first = std::partition_point(
      slabs.begin(), slabs.end(), [&](const auto& cut) { return cut.file.end <= last_piece; });
  const auto before = static_cast<std::size_t>(first - slabs.begin());
  return before + (first != slabs.end() && first->file.begin < pieces.end ? 1 : 0);
}

Range TensorSink::admit(const model::File& file, Range pieces) {
  const Target& target = target_of(file);
  const std::size_t needed = slabs_for(target, pieces);
  if (needed == 0) {
    return pieces;
  }
  const std::size_t admitted = admission_.admit(target.first_slab + needed - 1);
  if (admitted >= target.first_slab + needed) {
    return pieces;
  }
  const std::size_t own = std::max(admitted, target.first_slab) - target.first_slab;
  const auto slabs = target.placement.slabs();
  std::uint64_t reached = slabs[own].file.begin / hash::kPieceBytes * hash::kPieceBytes;
  if (own > 0 && slabs[own - 1].file.end > reached) {
    reached += hash::kPieceBytes;
  }
  return {pieces.begin, std::clamp(reached, pieces.begin, pieces.end)};
}

Result<void> TensorSink::wait_for_room(const base::Call& call,
                                       const model::File& file,
                                       Range piece) {
  const Target& target = target_of(file);
  const std::size_t needed = slabs_for(target, piece);
  return needed == 0 ? Result<void>() : admission_.wait(call, target.first_slab + needed - 1);
}

void TensorSink::tell_of_room(std::function<void()> tell) {
  admission_.tell_of_room(std::move(tell));
}

Result<std::span<std::byte>> TensorSink::place(const model::File& file, Range piece) {
  return target_of(file).placement.in_place(piece);
}

Result<void> TensorSink::landed(const model::File& file,
                                Range piece,
                                std::span<const std::byte> bytes) {
  const Target& target = target_of(file);
  TRY(target.looked_at.hold(piece, bytes));
  if (target.placement.in_place(piece).data() == bytes.data()) {
    return {};
  }
  each_in(target, piece, [&](std::size_t i, Range overlap) {
    std::memcpy(
        target.placement.bytes_of(i).data() + (overlap.begin - target.placement.range_of(i).begin),
        bytes.data() + (overlap.begin - piece.begin),
        overlap.size());
  });
  return {};
}

Result<void> TensorSink::publish(const model::File& file, Range piece, model::Proof proof) {
  Target& target = target_of(file);
  std::vector<Arrival> arrived;
  const auto add = [&](std::size_t i) {
    arrived.push_back({target.number, static_cast<std::uint32_t>(i), proof});
  };
  if (piece.begin == 0) {
    // The header is proved, and with it the tensors that have no bytes.
    for (std::size_t i = 0; i < target.placement.size(); ++i) {
      if (target.placement.range_of(i).empty()) {
        add(i);
      }
    }
  }
  each_in(target, piece, [&](std::size_t i, Range) {
    // The release orders this piece's bytes before the hand-over, whichever thread does it.
    if (target.missing[i].fetch_sub(1, std::memory_order_acq_rel) == 1) {
      add(i);
    }
  });
  if (!arrived.empty()) {
    arrived_(arrived);
  }
  return {};
}

Tensor TensorSink::take(const Arrival& arrival) {
  Target& target = *targets_[arrival.file];
  Placement& placement = target.placement;
  const std::size_t index = placement.index_of(arrival.tensor);
  const std::span<const std::byte> bytes = placement.bytes_of(arrival.tensor);
  if (bytes.empty()) {
    return {placement.no_memory(), index, nullptr, arrival.proof};
  }
  const std::size_t slab = placement.slab_of(arrival.tensor);
  Tensor tensor(placement.slabs()[slab].slab, index, bytes.data(), arrival.proof);
  // Whoever takes the last one lets go of the slab, after all others have their share of it.
  if (target.untaken[slab].fetch_sub(1, std::memory_order_acq_rel) == 1) {
    placement.release(slab);
    admission_.release(target.first_slab + slab);
  }
  return tensor;
}

// What was not published is never handed over, so there is nothing to take back; what was paid for
// it is free for others.
void TensorSink::abandon(const model::File& file, const base::Error&) {
  const Target& target = target_of(file);
  for (std::size_t slab = 0; slab < target.untaken.size(); ++slab) {
    admission_.release(target.first_slab + slab);
  }
}

}  // namespace weighbridge::loader
