#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/body_sink.h"
#include "hash/hash_tree.h"
#include "transfer/file_job.h"

namespace weighbridge::transfer {

// Receives a run of pieces of one file in one body after the other: each piece into its place,
// hashed as it comes, handed to the job when it is whole. After a broken body, the next one goes on
// at next_offset(). Confined to one thread.
class Receiver final : public base::BodySink {
 public:
  Receiver(FileJob& job, Pieces run, Progress& progress);

  // Before each body. A piece that was begun is begun anew.
  void begin_body(bool from_start_of_file);

  std::span<std::byte> window() override;
  base::Result<void> landed(std::size_t bytes) override;

  // What a body must deliver from now on.
  base::Range rest() const;

  // The first piece that has not been handed to the job.
  std::uint64_t piece() const { return piece_; }

  // How many have been handed to the job, over all bodies.
  std::uint64_t handed_over() const { return handed_over_; }

  bool done() const { return piece_ >= run_.end; }

  // Ends a run whose last piece has no bytes (an empty file).
  base::Result<void> finish_empty();
  // Why window() had to be empty, if it was for an error.
  std::optional<base::Error> take_failure();

 private:
  base::Result<void> begin_piece();
  base::Result<void> end_piece();
  // Of the piece that has begun, at most to its end.
  base::Result<void> take(std::size_t bytes);
  std::span<std::byte> places_from(std::uint64_t piece) const;
  // Of the piece that has landed; anything where nobody asks.
  hash::ChainingValue finish_value();
  std::uint64_t piece_bytes() const;

  FileJob& job_;
  const Pieces run_;
  Progress& progress_;
  hash::PieceHasher hasher_;
  std::uint64_t piece_;
  std::uint64_t handed_over_ = 0;
  bool begun_ = false;
  bool needed_ = false;   // a stream passes over pieces that nobody wants
  bool hashing_ = false;  // a file that this machine has hashed before needs it no more
  std::span<std::byte> place_;
  // Of a local file: the places of this and the next pieces, where they stand one behind the other.
  std::span<std::byte> places_;
  ScratchPool::Buffer scratch_;
  std::size_t filled_ = 0;
  std::size_t hashed_ = 0;
  std::optional<base::Error> failure_;
};

}  // namespace weighbridge::transfer
