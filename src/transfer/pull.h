#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/call.h"
#include "formats/seal.h"
#include "hash/digest.h"
#include "model/ref.h"
#include "model/snapshot.h"
#include "sources/source.h"
#include "store/refs.h"
#include "store/store.h"
#include "sync/guarded.h"
#include "transfer/transfer.h"

namespace weighbridge::transfer {

// How far a pull is, over all and file by file, for whoever draws it. Thread-safe.
class PullProgress {
 public:
  // Of one file under way. A value.
  struct OneFile {
    std::string path;
    std::uint64_t size_bytes = 0;
    std::uint64_t there_bytes = 0;  // proved, here or earlier
  };

  // What the engine does, for its notes and its rate. Its bytes grow as files are begun.
  Progress transfer;
  std::atomic<std::uint64_t> files = 0;        // wanted in all
  std::atomic<std::uint64_t> files_done = 0;   // that are there
  std::atomic<std::uint64_t> bytes = 0;        // of all files wanted
  std::atomic<std::uint64_t> there_bytes = 0;  // of them: were there, copied, or fetched and proved

  // In byte order of paths.
  std::vector<OneFile> under_way() const;

  // For who pulls.
  void began(const model::File& file, std::uint64_t there_bytes);
  void grew(const std::string& path, std::uint64_t bytes);
  // Whether it is there now, or not.
  void ended(const std::string& path, bool is_there);

 private:
  sync::Guarded<std::map<std::string, OneFile>> under_way_;
};

// What a pull works with; borrowed.
struct PullParts {
  sources::Source* origin = nullptr;  // null: there is none, as of a name in the store
  Transfer& transfer;
  store::Store& store;
};

struct PullOptions {
  // Shell patterns of file paths; a file is wanted if one matches. Empty: all of them.
  std::vector<std::string> filters = {};
  // Asks the origin nothing, ever. kNotFound, naming it, for what the store lacks.
  bool offline = false;
  // What it must be. kConflict, and the Ref stands for what it stood for, if it is something else.
  std::optional<hash::Root> content_id = {};
};

// A Ref as a pull resolved it: through the store where that knows it. A value.
struct Resolved {
  model::Snapshot snapshot;           // the files that are wanted
  std::optional<formats::Seal> seal;  // of all files, with their hints
  std::vector<std::byte> seal_bytes;  // as they came; empty without a seal
  store::RefRecord record;            // to be put once the files are there
};

// kNotFound: a filter matches no file, or nothing is known offline. kUnsupported: nothing says
// which files there are (no seal, and the origin cannot list). kInvalid: the listing refused
// something. Else as transfer::resolve. Thread-safe.
base::Result<Resolved> resolve_for_pull(const base::Call& call,
                                        const PullParts& parts,
                                        const model::Ref& ref,
                                        const PullOptions& options);

// The same where there is no store: the origin is asked. Thread-safe.
base::Result<Resolved> resolve_at_origin(const base::Call& call,
                                         sources::Source& origin,
                                         const model::Ref& ref,
                                         const std::vector<std::string>& filters);

struct Pulled {
  std::string directory;  // of the snapshot
  hash::Root content_id;
  std::optional<hash::Sha256Digest> seal_sha256;
  model::Trust trust = model::Trust::kNone;  // the least of any file
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;          // of all files
  std::uint64_t fetched_bytes = 0;  // that came from the origin, asked for twice included
  std::uint64_t copied_bytes = 0;   // from other blobs
  std::uint64_t present_bytes = 0;  // that were there already, whole or as part of a file
};

// Puts a model into the store, as a snapshot directory. Fetches nothing that the store has: whole
// blobs, pieces of an earlier try that was killed or failed, pieces and tensors of other blobs.
// What another process is fetching it waits for, and fetches itself if that one dies. Holds a few
// hundred files open at most, however many there are; many small ones become durable together.
// After an error what was proved is kept for the next pull. kExhausted: no room, naming it;
// kCorrupt: bytes are not what was named. Thread-safe.
base::Result<Pulled> pull(const base::Call& call,
                          const PullParts& parts,
                          const model::Ref& ref,
                          const PullOptions& options,
                          PullProgress& progress);

}  // namespace weighbridge::transfer
