#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "hash/digest.h"
#include "io/file_system.h"
#include "model/proof.h"
#include "sources/source.h"
#include "store/store.h"
#include "transfer/pull.h"
#include "transfer/transfer.h"

namespace weighbridge::transfer {

// What a pull into a directory works with; borrowed.
struct PullIntoParts {
  sources::Source& origin;
  Transfer& transfer;
  io::FileSystem& directory;      // as io::open_beneath gives it
  store::Store* store = nullptr;  // taken from, never put into; null where there is none
};

struct PullIntoOptions {
  bool all = true;  // are these all files of the revision?
  // What they must be together; else kConflict, before they are sealed.
  std::optional<hash::Root> content_id = std::nullopt;
};

// What a finished pull into a directory amounts to.
struct PulledInto {
  hash::Root content_id;
  hash::Sha256Digest seal_sha256;            // of the seal that stands there now
  model::Trust trust = model::Trust::kNone;  // the least of any file
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;           // of all files
  std::uint64_t fetched_bytes = 0;   // that came from the origin, asked for twice included
  std::uint64_t copied_bytes = 0;    // from the store, and from files that stood there
  std::uint64_t present_bytes = 0;   // that stood there already, whole or from an earlier try
  std::vector<std::string> removed;  // what an earlier pull brought and this revision lacks
  std::vector<std::string> left;     // likewise, but changed since: left as it is
};

// Puts the files of `resolved` into a directory, with their seal: the origin's byte for byte, where
// there is one and all its files are wanted; else one of the files that are wanted.
//
// What stands there and is what is wanted stays; what an earlier pull brought (its seal lists it,
// and it is unchanged) is replaced, or removed if this revision lacks it and all its files are
// wanted. Anything else that is in the way is refused by name before a byte is fetched or
// changed: kExists, or kDenied for a symbolic link. kUnsupported: names that are one on that file
// system. kBusy: another pull writes there. kExhausted: no room; what is there stays. kCorrupt:
// bytes are not what was named.
//
// Interrupted, it leaves no seal, and what was proved is not fetched again. Files get their names
// when they are complete, proved and on the disk; the seal is the last. Thread-safe, for different
// directories.
base::Result<PulledInto> pull_into(const base::Call& call,
                                   const PullIntoParts& parts,
                                   const Resolved& resolved,
                                   const PullIntoOptions& options,
                                   PullProgress& progress);

}  // namespace weighbridge::transfer
