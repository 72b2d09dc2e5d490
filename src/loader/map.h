#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "loader/loader.h"
#include "loader/tensor.h"
#include "model/ref.h"
#include "sources/source.h"
#include "store/store.h"
#include "transfer/transfer.h"

namespace weighbridge::loader {

// What mapping a model works with; borrowed for the call.
struct MapParts {
  sources::Source& source;  // says which files these are; best one that asks the store
  transfer::Transfer& transfer;
  store::Store& store;
};

struct MapOptions {
  std::vector<std::string> filters = {};
  model::Trust least_trust = model::Trust::kNone;
  // Hashes every blob before it is handed out; else the store's own proof is enough.
  bool hash_always = false;
};

struct Mapped {
  std::vector<Tensor> tensors;  // in the order of the files, and of their bytes
  LoadReport report;
  std::optional<hash::Sha256Digest> seal_sha256;  // if a seal says which files these are
};

// A model's tensors as they stand in the store's blobs, mapped for reading: nothing but headers is
// read, and processes share the memory. Every tensor keeps the lease on its blob, which is not
// evicted while one of them lives. Blobs alone are mapped, as nobody shortens them.
//
// kNotFound, naming it, for a file with wanted tensors that the store does not have whole; else as
// Loader::open. The tensors outlive all parts. Thread-safe.
base::Result<Mapped> map(const base::Call& call,
                         const MapParts& parts,
                         const model::Ref& ref,
                         MapOptions options);

}  // namespace weighbridge::loader
