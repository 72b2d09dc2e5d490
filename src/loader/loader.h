#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/call.h"
#include "device/host_memory.h"
#include "hash/digest.h"
#include "index/index.h"
#include "loader/tensor.h"
#include "model/ref.h"
#include "sources/source.h"
#include "transfer/transfer.h"

namespace weighbridge::loader {

struct LoadOptions {
  // Shell patterns of tensor names; a tensor is wanted if one matches. Empty: all of them.
  std::vector<std::string> filters;
  // kDenied, with nothing handed over, if a file of the model has less behind it.
  model::Trust least_trust = model::Trust::kNone;
};

// What a finished load amounts to.
struct LoadReport {
  std::uint64_t tensors = 0;
  std::uint64_t bytes = 0;                            // of the tensors
  std::map<model::Trust, std::uint64_t> proof_bytes;  // the same, by who vouched for them
  std::optional<hash::Root> content_id;               // if the seal, or this load, says it
  transfer::Report transfer;
};

// Index plus Transfer plus memory: tensors. Reads in the background from open() on.
// Thread-safe: next() may be called by several threads, each tensor goes to one of them.
class Loader {
 public:
  // What a load works with: all must outlive the loader, the pool also its tensors.
  struct Parts {
    sources::Source& source;
    transfer::Transfer& transfer;
    device::HostPool& pool;
  };

  // Resolves the reference, reads the headers, plans and starts. kNotFound if a filter matches no
  // tensor; else as transfer::resolve and Index::open. The call's stop and deadline hold for the
  // whole load.
  static base::Result<std::unique_ptr<Loader>> open(const base::Call& call,
                                                    const Parts& parts,
                                                    const model::Ref& ref,
                                                    LoadOptions options);

  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;
  // Stops what is under way and waits for it. Tensors handed over stay valid.
  virtual ~Loader();

  virtual const index::Index& index() const = 0;
  virtual const transfer::Progress& progress() const = 0;
  // Bytes of the tensors that are wanted.
  virtual std::uint64_t wanted_bytes() const = 0;

  // The next tensor in order of arrival, or nothing when all have come. After a failure: first
  // those that were proved, then the error, again and again.
  virtual base::Result<std::optional<Tensor>> next(const base::Call& call) = 0;

  // All tensors that have not been taken yet, at once. Waits for the last; an error hands over
  // none.
  base::Result<std::vector<Tensor>> all(const base::Call& call);

  // After next() has given nothing.
  virtual LoadReport report() const = 0;

 protected:
  Loader() = default;
};

}  // namespace weighbridge::loader
