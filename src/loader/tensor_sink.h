#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "loader/placement.h"
#include "loader/tensor.h"
#include "transfer/sink.h"

namespace weighbridge::loader {

// Receives pieces into the places of tensors and hands on each tensor when its last piece is
// published. Thread-safe.
class TensorSink final : public transfer::Sink {
 public:
  // `ready` gets each tensor once, from the thread that published its last piece.
  explicit TensorSink(std::function<void(Tensor)> ready) : ready_(std::move(ready)) {}

  // Before the first piece of that file. `looked_at`: its front as the plan has it, where it was
  // not proved when the plan was made; a piece that differs from it is kCorrupt.
  void add(const model::File& file, Placement placement, std::vector<std::byte> looked_at = {});

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
    Target(std::string path, Placement where, std::vector<std::byte> front);

    std::string file;
    Placement placement;
    const std::vector<std::byte> looked_at;
    // Bytes of each tensor that are not published yet.
    std::vector<std::atomic<std::uint64_t>> missing;
  };

  // Calls `use(i, overlap)` for the tensors that have bytes in `piece`.
  template <typename Use>
  static void each_in(const Target& target, base::Range piece, Use&& use);
  void hand_over(Target& target, std::size_t i, model::Proof proof);

  const std::function<void(Tensor)> ready_;
  std::unordered_map<const model::File*, std::unique_ptr<Target>> targets_;
};

}  // namespace weighbridge::loader
