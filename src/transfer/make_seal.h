#pragma once

#include "base/call.h"
#include "formats/seal.h"
#include "sources/source.h"
#include "transfer/transfer.h"

namespace weighbridge::transfer {

// Reads every file of the listing once, several at a time, and describes it: SHA-256, hash tree,
// hints of its tensors (of files named *.safetensors that are well-formed; a malformed one is
// sealed without hints). kInvalid, naming each, if the listing refused anything; kConflict if a
// file changes meanwhile. `progress` counts bytes read. Thread-safe.
base::Result<formats::Seal> make_seal(const base::Call& call,
                                      sources::Source& source,
                                      const sources::Listing& listing,
                                      Progress& progress);

// kInvalid, naming each, if the listing refused anything: what is sealed is all there is.
base::Result<void> nothing_refused(const sources::Listing& listing);

}  // namespace weighbridge::transfer
