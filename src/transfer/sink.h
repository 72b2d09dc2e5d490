#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "base/call.h"
#include "base/range.h"
#include "hash/digest.h"
#include "model/proof.h"
#include "model/snapshot.h"

namespace weighbridge::transfer {

// Where pieces go. For each piece the engine calls place(), then landed(), then publish(), the
// last only once the proof holds; a piece that fails its proof is placed and landed again, and
// abandon() ends a file for good. The engine is the one writer of a piece until it is published.
// Thread-safe: different pieces come from different threads.
class Sink {
 public:
  Sink() = default;
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  virtual ~Sink() = default;

  // The part of these pieces, from their front, that there is memory for: no more is requested now.
  // Once there is, there is until they are published. Where whole files are proved at once, the
  // answer is all or nothing.
  virtual base::Range admit(const model::File& /*file*/, base::Range pieces) { return pieces; }

  // Waits until there is memory for this piece, if it was not admitted: where an origin has no
  // ranges, its one answer goes on whether or not there is. As the call says.
  virtual base::Result<void> wait_for_room(const base::Call& /*call*/,
                                           const model::File& /*file*/,
                                           base::Range /*piece*/) {
    return {};
  }

  // Whom to tell, from any thread, when there may be more memory than before; `{}`: nobody, from
  // the return on.
  virtual void tell_of_room(std::function<void()> /*tell*/) {}

  // The final place of this piece, exactly as long as it, or an empty span: the engine then
  // receives it in scratch memory and landed() copies out what is wanted. Must give the same
  // answer until the piece is published.
  virtual base::Result<std::span<std::byte>> place(const model::File& file, base::Range piece) = 0;

  // `bytes` are the whole piece, not yet proved: in the place given, or in scratch that is reused
  // after the return. Nothing of it may be signalled to anybody.
  virtual base::Result<void> landed(const model::File& file,
                                    base::Range piece,
                                    std::span<const std::byte> bytes) = 0;

  // The same, for a sink that keeps what a piece hashed to: its chaining value, of a file's only
  // piece its root. The engine calls this one. The value means nothing where the run did not hash
  // (RunOptions::hash_always is not set, and this machine knows the file).
  virtual base::Result<void> landed_as(const model::File& file,
                                       base::Range piece,
                                       std::span<const std::byte> bytes,
                                       const hash::ChainingValue& /*value*/) {
    return landed(file, piece, bytes);
  }

  // The proof holds, and nobody writes to this piece any more. Once a piece.
  virtual base::Result<void> publish(const model::File& file,
                                     base::Range piece,
                                     model::Proof proof) = 0;

  // Nothing more of this file will be published, and what has landed must never be read.
  virtual void abandon(const model::File& file, const base::Error& error) = 0;
};

// Wants nothing of the bytes: for verifying. Thread-safe: it holds nothing.
class DiscardingSink final : public Sink {
 public:
  base::Result<std::span<std::byte>> place(const model::File&, base::Range) override {
    return std::span<std::byte>();
  }

  base::Result<void> landed(const model::File&, base::Range, std::span<const std::byte>) override {
    return {};
  }

  base::Result<void> publish(const model::File&, base::Range, model::Proof) override { return {}; }

  void abandon(const model::File&, const base::Error&) override {}
};

}  // namespace weighbridge::transfer
