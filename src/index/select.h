#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "base/call.h"
#include "formats/safetensors.h"
#include "model/snapshot.h"
#include "sources/source.h"
#include "transfer/transfer.h"

namespace weighbridge::index {

// The files of a Snapshot that hold tensors.
struct Selection {
  std::vector<std::size_t> files;  // in the Snapshot
  std::optional<formats::ShardIndex>
      shards;  // what model.safetensors.index.json says, if it is there
};

// Applies Index::open's rule; appends to a Snapshot that is not listed what it finds.
base::Result<Selection> select_files(const base::Call& call,
                                     transfer::Transfer& transfer,
                                     sources::Source& source,
                                     model::Snapshot& snapshot);

}  // namespace weighbridge::index
