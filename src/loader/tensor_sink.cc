#include "loader/tensor_sink.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "index/index.h"

namespace weighbridge::loader {

using base::Result;

TensorSink::Target::Target(std::string path, Placement where, std::vector<std::byte> front)
    : file(std::move(path)),
      placement(std::move(where)),
      looked_at(std::move(front)),
      missing(placement.tensors().size()) {
  for (std::size_t i = 0; i < missing.size(); ++i) {
    missing[i] = placement.tensors()[i].bytes.size();
  }
}

void TensorSink::add(const model::File& file,
                     Placement placement,
                     std::vector<std::byte> looked_at) {
  targets_.emplace(&file,
                   std::make_unique<Target>(file.path, std::move(placement), std::move(looked_at)));
}

template <typename Use>
void TensorSink::each_in(const Target& target, base::Range piece, Use&& use) {
  const auto tensors = target.placement.tensors();
  auto next = std::partition_point(tensors.begin(), tensors.end(), [&](const auto& placed) {
    return placed.entry->bytes.end <= piece.begin;
  });
  for (; next != tensors.end() && next->entry->bytes.begin < piece.end; ++next) {
    const base::Range overlap{std::max(next->entry->bytes.begin, piece.begin),
                              std::min(next->entry->bytes.end, piece.end)};
    if (!overlap.empty()) {
      use(static_cast<std::size_t>(next - tensors.begin()), overlap);
    }
  }
}

Result<std::span<std::byte>> TensorSink::place(const model::File& file, base::Range piece) {
  return targets_.at(&file)->placement.in_place(piece);
}

Result<void> TensorSink::landed(const model::File& file,
                                base::Range piece,
                                std::span<const std::byte> bytes) {
  const Target& target = *targets_.at(&file);
  TRY(index::hold_to(target.looked_at, piece, bytes));
  if (target.placement.in_place(piece).data() == bytes.data()) {
    return {};
  }
  each_in(target, piece, [&](std::size_t i, base::Range overlap) {
    const Placement::Placed& placed = target.placement.tensors()[i];
    std::memcpy(placed.bytes.data() + (overlap.begin - placed.entry->bytes.begin),
                bytes.data() + (overlap.begin - piece.begin),
                overlap.size());
  });
  return {};
}

Result<void> TensorSink::publish(const model::File& file, base::Range piece, model::Proof proof) {
  Target& target = *targets_.at(&file);
  if (piece.begin == 0) {
    // The header is proved, and with it the tensors that have no bytes.
    for (std::size_t i = 0; i < target.missing.size(); ++i) {
      if (target.placement.tensors()[i].entry->bytes.empty()) {
        hand_over(target, i, proof);
      }
    }
  }
  each_in(target, piece, [&](std::size_t i, base::Range overlap) {
    // The release orders this piece's bytes before the hand-over, whichever thread does it.
    if (target.missing[i].fetch_sub(overlap.size(), std::memory_order_acq_rel) == overlap.size()) {
      hand_over(target, i, proof);
    }
  });
  return {};
}

void TensorSink::hand_over(Target& target, std::size_t i, model::Proof proof) {
  const Placement::Placed& placed = target.placement.tensors()[i];
  Tensor tensor{placed.entry->name,
                placed.entry->dtype,
                placed.entry->shape,
                target.file,
                proof,
                placed.bytes,
                placed.slab};
  target.placement.release(i);
  ready_(std::move(tensor));
}

// What was not published is never handed over, so there is nothing to take back.
void TensorSink::abandon(const model::File&, const base::Error&) {}

}  // namespace weighbridge::loader
