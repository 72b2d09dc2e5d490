#pragma once

#include <string>

#include "base/call.h"
#include "model/ref.h"
#include "sources/source.h"
#include "store/store.h"
#include "transfer/transfer.h"

namespace weighbridge::transfer {

// A directory of this machine that is to become a member of the store; borrowed.
struct AdoptPlan {
  sources::Source& source;  // of `ref`
  const model::Ref& ref;    // its pin, if it has one, is that of the seal
  std::string directory;    // absolute
};

// Reads every file of the listing once and writes down, in the store alone, what it hashed to and
// which file it was. kCorrupt where the files are not what a seal beside them says, or that seal is
// not the pinned one; kNotFound where a pinned seal is missing; kConflict if a file changes
// meanwhile; else as make_seal(). `progress` counts bytes read. Thread-safe.
base::Result<store::AdoptedDirectory> adopt(const base::Call& call,
                                            const AdoptPlan& plan,
                                            const sources::Listing& listing,
                                            store::Store& store,
                                            Progress& progress);

}  // namespace weighbridge::transfer
