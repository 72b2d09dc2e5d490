#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "formats/seal.h"
#include "pack/artifact.h"
#include "pack/description.h"
#include "pack/image_layout.h"
#include "sources/source.h"
#include "transfer/make_seal.h"
#include "transfer/transfer.h"

namespace weighbridge::pack {

// A model ready to be an artifact: every byte of it has been read once and hashed.
struct PackedModel {
  formats::Seal seal;
  std::vector<std::byte> seal_bytes;
  Artifact artifact;
};

// What `weighbridge.yaml`, or where there is none ormb's `ormbfile.yaml`, states of the files of
// `snapshot`, and where it states nothing, what config.json and the safetensors headers say.
// kInvalid, kExhausted: such a file that is refused. What cannot be inferred is no error.
// Thread-safe.
base::Result<Description> describe_model(const base::Call& call,
                                         transfer::Transfer& transfer,
                                         sources::Source& source,
                                         const model::Snapshot& snapshot);

// Seals and describes the files that the source lists, and makes their manifest; writes nothing.
// The errors of transfer::make_seal, describe_model and build_artifact; kUnsupported: the source
// cannot list; kNotFound: it lists nothing. `progress` counts bytes read. Thread-safe.
base::Result<PackedModel> pack_model(const base::Call& call,
                                     transfer::Transfer& transfer,
                                     sources::Source& source,
                                     transfer::Progress& progress);

// Copies the files and the seal into the layout, hashing them again, and lists the manifest under
// `tag` (empty: none). Blobs that are there are passed over. kCorrupt: a file is no longer what was
// packed. Confined to one thread, as the layout is.
base::Result<void> write_to_layout(const base::Call& call,
                                   sources::Source& source,
                                   const PackedModel& packed,
                                   ImageLayout& layout,
                                   std::string_view tag);

}  // namespace weighbridge::pack
