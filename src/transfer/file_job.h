#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hash/digest.h"
#include "hash/hash_tree.h"
#include "hash/sha256.h"
#include "model/proof.h"
#include "model/snapshot.h"
#include "transfer/first_seen.h"
#include "transfer/local_proofs.h"
#include "transfer/scratch.h"
#include "transfer/sink.h"
#include "transfer/transfer.h"

namespace weighbridge::transfer {

// A run of pieces [begin, end).
struct Pieces {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

// One file of a run: which pieces it needs, and the proof of what lands. Thread-safe: pieces are
// delivered by many threads, each piece by one at a time.
class FileJob {
 public:
  // What all jobs of a run share; borrowed from it.
  struct Shared {
    Sink& sink;
    FirstSeen& first_seen;
    ScratchPool& scratch;
    Progress& progress;
    // Told when a piece of a SHA-256-only file has been hashed: the window moves on.
    std::function<void(const FileJob&)> hashed;
    LocalProofs* local_proofs = nullptr;  // if there are any
  };

  // Which file it is about.
  struct Subject {
    const model::File& file;  // of the Snapshot
    std::size_t index = 0;    // in it
    std::string name;         // Source::printable
    std::string identity;     // Source::identity
    std::optional<LocalProofs::Met> met;
  };

  // `wants`: of this file, in order of their ranges.
  FileJob(const Shared& shared, Subject subject, std::span<const Want> wants, bool peek);

  const model::File& file() const { return file_; }

  // The same for Source::read: of a file of this machine it says which one it must be.
  const model::File& asked_for() const { return asked_for_ ? *asked_for_ : file_; }

  // False if this machine has hashed the very file before: then landed() takes any value.
  bool must_hash() const { return how_ != How::kKnown; }

  std::size_t index() const { return index_; }

  // Printable, for errors.
  const std::string& name() const { return name_; }

  // The pieces to fetch, in order: those wanted, or all where only the whole file can be proved.
  std::span<const Pieces> pieces() const { return pieces_; }

  // Only the SHA-256 is known: pieces are hashed in order and wait in memory until it is their
  // turn.
  bool in_order() const { return how_ == How::kSha256; }

  // Wanted and not landed yet.
  bool needs(std::uint64_t piece) const;

  // On a disk of this machine, and read in large steps.
  bool is_local() const { return met_.has_value(); }

  // The sink's own place for a piece that is needed; empty if there is none, or an error.
  std::span<std::byte> own_place(std::uint64_t piece);

  // Where the next piece is received: the sink's own place, or `scratch`, taken here.
  base::Result<std::span<std::byte>> place(std::uint64_t piece, ScratchPool::Buffer& scratch);

  // For a copy that is not in its place yet.
  ScratchPool::Buffer take_scratch() const { return shared_.scratch.take(); }

  // Is this the piece's value, as far as it can be told of a piece alone? kCorrupt, as landed().
  base::Result<void> check(std::uint64_t piece, const hash::ChainingValue& value) const;

  // The whole piece stands in `bytes` with this value (a file's single piece: its root). Proves it
  // as far as it can be proved now, and publishes what is proved.
  // kCorrupt: it is not what it must be. It may be fetched again if needs() still says so; if not,
  // it was the proof of the whole file that did not hold.
  base::Result<void> landed(std::uint64_t piece,
                            std::span<const std::byte> bytes,
                            const hash::ChainingValue& value,
                            ScratchPool::Buffer scratch);

  // Nothing more of this file is wanted: pieces that wait for their turn are dropped.
  // True the first time.
  bool give_up();

  bool given_up() const { return given_up_; }

  // Everything it needs is proved and published.
  bool complete() const { return complete_; }

 private:
  enum class How : std::uint8_t { kPieces, kRoot, kSha256, kFirstSeen, kPeek, kKnown };

  struct Waiting {
    std::span<const std::byte> bytes;
    ScratchPool::Buffer scratch;
  };

  static How how_to_prove(const model::File& file, bool peek);
  void meet(std::optional<LocalProofs::Met> met);
  void plan(std::span<const Want> wants);
  // Of what needs no proof but that this machine has hashed it before.
  model::Proof known_proof() const;

  bool is_single_piece() const { return piece_count_ == 1; }

  base::Range range_of(std::uint64_t piece) const;
  base::Result<void> hold_to_first_seen(std::uint64_t piece, const hash::ChainingValue& value);
  base::Result<void> hash_in_order(std::uint64_t piece,
                                   std::span<const std::byte> bytes,
                                   ScratchPool::Buffer scratch);
  base::Result<void> check_root();
  base::Result<void> check_sha256(const hash::Sha256Digest& found);
  base::Result<void> publish(std::uint64_t piece, model::Proof proof);
  base::Result<void> publish_all(model::Proof proof);
  base::Error mismatch(std::string_view what,
                       std::string_view expected,
                       std::string_view found) const;

  const Shared& shared_;
  const model::File& file_;
  const std::size_t index_;
  const std::string name_;
  const std::string identity_;
  How how_;  // does not change once it is made
  const std::uint64_t piece_count_;
  std::vector<Pieces> pieces_;
  std::optional<LocalProofs::Met> met_;   // of a file of this machine
  std::optional<model::File> asked_for_;  // likewise

  mutable std::mutex mutex_;
  std::vector<bool> landed_;
  std::uint64_t missing_ = 0;                 // pieces needed and not landed
  std::uint64_t unpublished_ = 0;             // pieces needed and not published
  std::vector<hash::ChainingValue> values_;   // kRoot, kSha256: of every piece
  std::map<std::uint64_t, Waiting> waiting_;  // kSha256: landed, not yet hashed
  std::uint64_t cursor_ = 0;                  // kSha256: the next piece to hash
  bool hashing_ = false;                      // kSha256: a thread is at it
  std::atomic<bool> given_up_ = false;
  std::atomic<bool> complete_ = false;
  std::optional<hash::Sha256> sha256_;  // kSha256: used by the one thread that has set hashing_
};

}  // namespace weighbridge::transfer
