#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "hash/hash_tree.h"
#include "transfer/sink.h"

namespace weighbridge::pack {

// The pieces of one file on their way from a Transfer to somebody who takes them one after the
// other: they land in any order, a bounded number ahead of the one that is being taken, so that the
// origin waits for the taker. Thread-safe; one thread takes.
class PieceWindow final : public transfer::Sink {
 public:
  // Pieces that may wait, each of 1 MiB.
  static constexpr std::size_t kPieces = 16;

  // Of a file of `file_bytes`, from the piece that holds `offset` on.
  PieceWindow(std::uint64_t file_bytes, std::uint64_t offset);

  // The piece whose turn it is, once it has been published; valid until release(). Fails with what
  // ended the run.
  base::Result<std::span<const std::byte>> take(const base::Call& call);
  // The taken piece is done with.
  void release();
  // No more will come.
  void end(base::Result<void> run);

  // Where the piece whose turn it is begins.
  std::uint64_t position() const;

  // Sink.
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
  std::uint64_t room_end() const { return (next_ + kPieces) * hash::kPieceBytes; }

  std::span<std::byte> slot(std::uint64_t piece);

  const std::uint64_t file_bytes_;
  std::vector<std::byte> memory_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::uint64_t next_;  // the piece whose turn it is
  std::vector<bool> ready_;
  std::optional<base::Result<void>> ended_;
  std::mutex telling_mutex_;  // held while `tell_` is called, so that nobody is told too late
  std::function<void()> tell_;
};

}  // namespace weighbridge::pack
