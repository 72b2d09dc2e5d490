#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "index/index.h"
#include "loader/admission.h"
#include "loader/placement.h"
#include "loader/tensor.h"
#include "transfer/sink.h"

namespace weighbridge::loader {

// Receives pieces into the places of tensors and says which tensors are complete when their last
// piece is published. Thread-safe.
class TensorSink final : public transfer::Sink {
 public:
  // A tensor that may be taken: 12 bytes, as there may be a million.
  struct Arrival {
    std::uint32_t file = 0;    // in the order of add()
    std::uint32_t tensor = 0;  // of its Placement
    model::Proof proof;
  };

  // `arrived` gets each tensor once, from the thread that published its last piece, with those that
  // the same piece completes. `budget`: what may be filled and not yet taken, or null.
  TensorSink(std::function<void(std::span<const Arrival>)> arrived, sync::Budget* budget)
      : arrived_(std::move(arrived)), admission_(budget) {}

  struct Added {
    const model::File& file;
    Placement placement;
    // The file's front as the plan has it, where it was not proved when the plan was made: a piece
    // that differs from it is kCorrupt.
    index::LookedAt looked_at;
    // No tensor of it can be taken before the whole file has come.
    bool whole_only = false;
  };

  // Before the first piece of any file.
  void add(Added added);

  std::uint64_t size_of(const Arrival& arrival) const {
    return targets_[arrival.file]->placement.range_of(arrival.tensor).size();
  }

  // Once an Arrival.
  Tensor take(const Arrival& arrival);

  base::Range admit(const model::File& file, base::Range pieces) override;
  base::Result<void> wait_for_room(const base::Call& call,
                                   const model::File& file,
                                   base::Range piece) override;
  void tell_of_room(std::function<void()> tell) override;
  base::Result<std::span<std::byte>> place(const model::File& file, base::Range piece) override;
  base::Result<void> landed(const model::File& file,
                            base::Range piece,
                            std::span<const std::byte> bytes) override;
  base::Result<void> publish(const model::File& file,
                             base::Range piece,
                             model::Proof proof) override;
  void abandon(const model::File& file, const base::Error& error) override;

 private:
  struct Target {
    Target(Placement where, index::LookedAt front, std::uint32_t file, std::size_t first_slab);

    Placement placement;
    const index::LookedAt looked_at;
    const std::uint32_t number;
    const std::size_t first_slab;  // its slabs' numbers in admission_ begin here
    // Pieces of each tensor that are not published yet.
    std::vector<std::atomic<std::uint32_t>> missing;
    // Tensors of each slab that are not taken yet.
    std::vector<std::atomic<std::size_t>> untaken;
  };

  Target& target_of(const model::File& file) { return *target_of_.at(&file); }

  // How many of the target's slabs must be admitted for these pieces.
  static std::size_t slabs_for(const Target& target, base::Range pieces);

  // Calls `use(i, overlap)` for the tensors that have bytes in `piece`.
  template <typename Use>
  static void each_in(const Target& target, base::Range piece, Use&& use);

  const std::function<void(std::span<const Arrival>)> arrived_;
  Admission admission_;
  std::size_t slab_count_ = 0;
  std::vector<std::unique_ptr<Target>> targets_;
  std::unordered_map<const model::File*, Target*> target_of_;
};

}  // namespace weighbridge::loader
