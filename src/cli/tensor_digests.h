#pragma once

#include <span>
#include <vector>

#include "base/call.h"
#include "hash/digest.h"
#include "loader/tensor.h"

namespace weighbridge::cli {

// SHA-256 of each tensor, in their order, from the memory they stand in; two threads.
// kCancelled or kTimedOut as the call says.
base::Result<std::vector<hash::Sha256Digest>> tensor_digests(
    const base::Call& call, std::span<const loader::Tensor> tensors);

}  // namespace weighbridge::cli
