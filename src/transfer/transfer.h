#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/call.h"
#include "base/range.h"
#include "hash/hash_tree.h"
#include "model/snapshot.h"
#include "sources/source.h"
#include "sync/budget.h"
#include "sync/guarded.h"
#include "transfer/first_seen.h"
#include "transfer/known_trees.h"
#include "transfer/local_proofs.h"
#include "transfer/sink.h"

namespace weighbridge::transfer {

// Bytes wanted of one file of a Snapshot. The engine fetches whole pieces: wants that share a piece
// cost one request, and a gap of a whole piece is not fetched.
struct Want {
  std::size_t file = 0;  // index into Snapshot::files
  base::Range range;
};

// What is worth telling while a run goes on: what is being tried again, and why. At most kMost wait
// to be taken; what comes then is dropped. Thread-safe.
class Notes {
 public:
  static constexpr std::size_t kMost = 64;

  void add(std::string note) {
    notes_.with([&](std::vector<std::string>& notes) {
      if (notes.size() < kMost) {
        notes.push_back(std::move(note));
      }
    });
  }

  // A line each, the oldest first; then there are none.
  std::vector<std::string> take() {
    return notes_.with([](auto& notes) { return std::exchange(notes, {}); });
  }

 private:
  sync::Guarded<std::vector<std::string>> notes_;
};

// How far a run is, for whoever draws it. Thread-safe: read at any time.
struct Progress {
  std::atomic<std::uint64_t> wanted_bytes = 0;
  std::atomic<std::uint64_t> received_bytes = 0;  // from the source, fetched again included
  std::atomic<std::uint64_t> proved_bytes = 0;
  mutable Notes notes;  // taken by who reads the rest
};

struct FileFailure {
  std::size_t file = 0;
  base::Error error;
};

struct Explanation;

struct Report {
  std::uint64_t requests = 0;
  std::uint64_t retries = 0;
  std::uint64_t received_bytes = 0;
  // Empty after a success. With keep_going: one a file that failed.
  std::vector<FileFailure> failures;
  std::shared_ptr<const Explanation> explanation;  // always there
};

// What is wanted, of which Snapshot, from where. Borrows all three for the run.
struct Plan {
  sources::Source& source;
  const model::Snapshot& snapshot;
  std::span<const Want> wants;
};

struct RunOptions {
  // A look before the proof, for planning only: files that can be proved only as a whole give the
  // wanted pieces at once with Trust::kNone. Who acts upon them holds what is read later to them.
  bool peek = false;
  // A file that fails does not end the others; run() then succeeds and the report has the failures.
  bool keep_going = false;
  // Hashes every byte, also of files that this machine has hashed before.
  bool hash_always = false;
  // What the run may hold beside the sink's memory, if that is bounded: connections and windows,
  // at most half of it. The other half is the sink's, and a file for whose proof too much of that
  // would have to wait is read twice. Outlives the run.
  sync::Budget* memory = nullptr;
};

// The one engine: wanted ranges from a Source into a Sink, many at once, each piece hashed by the
// thread that receives it and published only when its proof holds. It alone retries:
// - an error that may pass (Code's table) up to kTries times in a row without a new piece, with
//   full jitter and no sooner than Retry-After;
// - a piece that fails its proof, or an answer that breaks the protocol, kProofTries times.
// How files are proved: with pieces, each as it lands; with a root, in any order, once all have
// come; with a SHA-256, in order inside a window of kWindowBytes; with nothing, by FirstSeen. The
// tree of a file that was proved as a whole is kept: the next time it is proved by its pieces.
// How many connections it uses: pace.h. What lags behind is asked for a second time: hedge.h.
// Thread-safe: concurrent runs share FirstSeen and the trees, and nothing else.
class Transfer {
 public:
  // What is fetched and proved at once, so what the smallest look costs.
  static constexpr std::uint64_t kPieceBytes = hash::kPieceBytes;
  static constexpr unsigned kTries = 10;
  static constexpr std::size_t kProofTries = 3;
  static constexpr std::uint64_t kRequestBytes = 4 * 1024 * 1024;
  // Bytes of SHA-256-only files that are requested and not yet hashed, over all files of a run.
  static constexpr std::uint64_t kWindowBytes = 64 * 1024 * 1024;
  // A larger file is refused: a size from outside must not size anything of ours.
  static constexpr std::uint64_t kMaxFileBytes = 4ULL * 1024 * 1024 * 1024 * 1024;
  // What a connection holds of RunOptions::memory: a piece that it receives, one that it asks for
  // a second time, and what it reads into.
  static constexpr std::uint64_t kConnectionBytes = 3 * 1024 * 1024;

  // `seed`: of the jitter. `local_proofs`: what files of this machine need not be hashed again;
  // null if all must be. `trees`: kept beyond this process, or null. All borrowed for its life.
  explicit Transfer(FirstSeen& first_seen,
                    std::uint64_t seed = std::random_device{}(),
                    LocalProofs* local_proofs = nullptr,
                    KnownTrees* trees = nullptr)
      : first_seen_(first_seen), local_proofs_(local_proofs), trees_(trees), seed_(seed) {}

  // Returns when every want is published or the first error has stopped everything; nobody touches
  // the sink afterwards. Errors name the file, the range, the digests expected and found.
  base::Result<Report> run(const base::Call& call,
                           const Plan& plan,
                           Sink& sink,
                           Progress& progress,
                           RunOptions options = {});

  FirstSeen& first_seen() { return first_seen_; }

  KnownTrees& trees() { return trees_; }

 private:
  FirstSeen& first_seen_;
  LocalProofs* const local_proofs_;
  TreesInMemory trees_;
  std::atomic<std::uint64_t> seed_;
};

}  // namespace weighbridge::transfer
