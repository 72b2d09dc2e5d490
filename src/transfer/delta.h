#pragma once

#include <cstdint>
#include <span>

#include "base/call.h"
#include "base/result.h"
#include "formats/seal.h"
#include "store/copies.h"
#include "store/partial.h"
#include "store/store.h"

namespace weighbridge::transfer {

// Fills what of `partial` is missing with `copies`, as store::find_copies gave them of `wanted`:
// the same as take_copies(), for who looked for many files at once.
base::Result<std::uint64_t> use_copies(const base::Call& call,
                                       store::Store& store,
                                       const formats::SealedFile& wanted,
                                       store::Partial& partial,
                                       std::span<const store::Copy> copies);

// Fills what is missing of `partial`, which is of `wanted`, with bytes that blobs of the store
// have: shared where the disk can, else copied. Each piece is proved by `wanted`; what a copy does
// not give whole, or gives wrong, stays missing. Returns how many bytes were put there. A blob that
// vanishes meanwhile is no error. Thread-safe.
base::Result<std::uint64_t> take_copies(const base::Call& call,
                                        store::Store& store,
                                        const formats::SealedFile& wanted,
                                        store::Partial& partial);

}  // namespace weighbridge::transfer
