#pragma once

#include <optional>

#include "base/call.h"
#include "hash/digest.h"
#include "store/blob_file.h"
#include "store/store.h"

namespace weighbridge::transfer {

// The blob with this SHA-256: where it was computed here, or where it is computed now, of a blob
// that some kept seal pairs with it. A seal's word is reason to look, and nothing more.
// Thread-safe.
base::Result<std::optional<store::BlobFile>> find_by_sha256(const base::Call& call,
                                                            store::Store& store,
                                                            const hash::Sha256Digest& sha256);

}  // namespace weighbridge::transfer
