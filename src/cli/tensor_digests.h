#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/call.h"
#include "hash/digest.h"
#include "loader/loader.h"
#include "loader/tensor.h"
#include "model/tensor.h"

namespace weighbridge::cli {

// A tensor that was hashed, and may be gone since.
struct TensorDigest {
  std::string name;
  model::Dtype dtype = model::Dtype::kU8;
  std::vector<std::uint64_t> shape;
  std::uint64_t bytes = 0;
  hash::Sha256Digest sha256;
};

// SHA-256 of each tensor, by name, from the memory they stand in; two threads.
// kCancelled or kTimedOut as the call says.
base::Result<std::vector<TensorDigest>> tensor_digests(const base::Call& call,
                                                       std::span<const loader::Tensor> tensors);

// The same of all that the loader hands over, each tensor dropped when it is hashed. Also as
// Loader::next.
base::Result<std::vector<TensorDigest>> streamed_digests(const base::Call& call,
                                                         loader::Loader& loader);

}  // namespace weighbridge::cli
