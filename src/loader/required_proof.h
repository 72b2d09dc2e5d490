#pragma once

#include "base/result.h"
#include "index/index.h"
#include "model/proof.h"

namespace weighbridge::loader {

// kDenied, naming the first file with tensors that would be handed over with less trust than
// `least`. Reads nothing: who vouches for a file is known before its bytes come. Thread-safe.
base::Result<void> require_proof(const index::Index& index, model::Trust least);

}  // namespace weighbridge::loader
