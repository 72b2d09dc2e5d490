#pragma once

#include <optional>

#include "hash/digest.h"
#include "model/snapshot.h"
#include "sources/source.h"
#include "transfer/first_seen.h"
#include "transfer/known_trees.h"

namespace weighbridge::transfer {

// The Snapshot's content_id, with the roots of files that were read whole in this process where the
// Snapshot lacks them, or whose trees are known; nothing while one of its files is not known.
// Thread-safe.
std::optional<hash::Root> content_id_of(const model::Snapshot& snapshot,
                                        const sources::Source& source,
                                        const FirstSeen& seen,
                                        KnownTrees& trees);

}  // namespace weighbridge::transfer
