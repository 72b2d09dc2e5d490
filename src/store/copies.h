#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/call.h"
#include "base/range.h"
#include "base/result.h"
#include "formats/seal.h"
#include "hash/digest.h"
#include "store/blobs.h"
#include "store/refs.h"

namespace weighbridge::store {

// Bytes of a wanted file that a blob is said to have too.
struct Copy {
  base::Range to;  // in the wanted file
  hash::Root from;
  std::uint64_t from_offset = 0;

  friend bool operator==(const Copy&, const Copy&) = default;
};

// Where bytes of each of `wanted` already are: whole pieces with the same chaining value at the
// same index, in any blob whose tree or seal is kept, and tensors with the same hint. In order of
// `to`; ranges may overlap, pieces come before tensors. A claim, not a proof: the copy is proved by
// `wanted`'s own pieces. `wanted.hints` may be empty. Reads every kept seal and tree once: some
// 35 MB a terabyte. Thread-safe; a damaged seal or tree gives nothing.
base::Result<std::vector<std::vector<Copy>>> find_copies(
    const base::Call& call,
    const Home& home,
    const Blobs& blobs,
    const Refs& refs,
    std::span<const formats::SealedFile* const> wanted);

// The same for one file.
base::Result<std::vector<Copy>> find_copies(const base::Call& call,
                                            const Home& home,
                                            const Blobs& blobs,
                                            const Refs& refs,
                                            const formats::SealedFile& wanted);

}  // namespace weighbridge::store
