#pragma once

#include "base/call.h"
#include "model/ref.h"
#include "model/snapshot.h"
#include "sources/source.h"

namespace weighbridge::transfer {

// What a Ref means today: its Snapshot, with every digest that is known and who vouches for it.
//
// A seal beside the files (or beside the one file that the Ref names) gives sizes and digests, held
// with the source's seal_trust(), or kPinned if `#sha256=` names the seal. A pin on a single file
// that is not the seal's own is enforced on the file's bytes: a pin beats what a seal says, and
// only a seal whose root is the pinned one lends its pieces. Without a seal a directory is listed
// where its source can; where it cannot, the Snapshot is empty and not `listed`.
//
// Retries what may pass. kCorrupt: the seal is broken, or is not the pinned one. kNotFound: nothing
// there; a pinned seal is missing; the seal omits the named file. kInvalid: a root pinned on a
// directory. Thread-safe.
base::Result<model::Snapshot> resolve(const base::Call& call,
                                      sources::Source& source,
                                      const model::Ref& ref);

// Source::find with the same retries. Thread-safe.
base::Result<model::File> find(const base::Call& call,
                               sources::Source& source,
                               std::string_view path);

}  // namespace weighbridge::transfer
