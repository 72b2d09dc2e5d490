#pragma once

#include "base/call.h"
#include "base/result.h"
#include "store/blobs.h"
#include "store/partial.h"

namespace weighbridge::transfer {

// Fills what is missing of `partial` with the blob that its file's digest names, if the store has
// that: shared where the disk can, else copied, each piece proved by the blob's own tree. A SHA-256
// finds a blob only where that was computed here. What cannot be had stays missing. Thread-safe.
base::Result<void> copy_blob(const base::Call& call, store::Blobs& blobs, store::Partial& partial);

}  // namespace weighbridge::transfer
