#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/call.h"
#include "model/snapshot.h"
#include "sources/source.h"
#include "transfer/transfer.h"

namespace weighbridge::transfer {

struct Verification {
  struct Failed {
    std::string path;
    base::Error error;
  };

  std::uint64_t files = 0;            // looked at
  std::uint64_t bytes = 0;            // read of them, again included
  std::vector<Failed> failed;         // missing, changed or unreadable; in order of paths
  std::vector<std::string> unlisted;  // there, but not in the Snapshot; where files can be listed
  std::shared_ptr<const Explanation> explanation;
};

// Reads every byte of every file and compares it with what the Snapshot says; where files can be
// listed also their executable bits, of which a difference is kCorrupt. Goes on after a file
// that fails. kInvalid if there is a file of which nobody says what its bytes are. Thread-safe.
base::Result<Verification> verify(const base::Call& call,
                                  sources::Source& source,
                                  const model::Snapshot& snapshot,
                                  Transfer& transfer,
                                  Progress& progress);

}  // namespace weighbridge::transfer
