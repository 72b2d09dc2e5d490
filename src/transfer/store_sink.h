#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/range.h"
#include "base/result.h"
#include "hash/digest.h"
#include "model/snapshot.h"
#include "store/partial.h"
#include "transfer/pull.h"
#include "transfer/sink.h"

namespace weighbridge::transfer {

// Writes what lands into Partials, of the store or of a directory: pieces that lie side by side are
// received side by side, in page-aligned memory, and written together. Every piece is written as it
// lands, so of a file that only its whole proves before that proof. At most kBuffers runs are held.
// Thread-safe, but for add() and finish().
class StoreSink final : public Sink {
 public:
  static constexpr std::uint64_t kRunPieces = 4;  // what a disk takes best at once: 4 MiB
  static constexpr std::size_t kBuffers = 48;

  // `progress`: told of what lands; outlives the sink.
  explicit StoreSink(PullProgress& progress);
  ~StoreSink() override;

  // Before the run: where the file's missing pieces go. Both outlive the sink. `whole`: the engine
  // proves this file as a whole (it is not peeked at), so that it must keep pieces in its own
  // memory.
  void add(const model::File& file, store::Partial& partial, bool whole);

  // After the run, however it ended: writes what has landed and waits for its neighbours. The first
  // error, after all has been tried.
  base::Result<void> finish();

  // Was this file's proof as a whole published?
  bool is_proved_whole(const model::File& file) const;

  base::Result<std::span<std::byte>> place(const model::File& file, base::Range piece) override;
  base::Result<void> landed(const model::File& file,
                            base::Range piece,
                            std::span<const std::byte> bytes) override;
  base::Result<void> landed_as(const model::File& file,
                               base::Range piece,
                               std::span<const std::byte> bytes,
                               const hash::ChainingValue& value) override;
  base::Result<void> publish(const model::File& file,
                             base::Range piece,
                             model::Proof proof) override;
  void abandon(const model::File& file, const base::Error& error) override;

 private:
  struct State;

  std::unique_ptr<State> state_;
};

}  // namespace weighbridge::transfer
