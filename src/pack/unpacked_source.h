#pragma once

#include <memory>
#include <string>

#include "base/call.h"
#include "base/result.h"
#include "io/file_system.h"
#include "pack/oci_source.h"
#include "transfer/transfer.h"

namespace weighbridge::pack {

// Where archives are taken apart. Borrows both.
struct UnpackPlace {
  io::FileSystem& files;
  // A directory of ours alone; made if need be. What a killed process left there is removed.
  std::string directory;
};

// All files of an artifact, those in archives unpacked below `place` before this returns, and
// removed with the source. Each archive is read whole and hashed as it comes, and nothing of it is
// listed unless all of it has its digest; what came out of it is held with the trust of the
// manifest, by the SHA-256 it had when it was unpacked. An archive that breaks off is fetched
// again, as often as transfer::Transfer tries. `progress` counts the bytes of archives and has a
// note for each wait. An artifact without archives is handed back as it came.
//
// Errors: those of LayerUnpacker and registry::Client. kExhausted: the files would take more than
// the place has free. kCorrupt also: a seal that contradicts the files.
base::Result<std::unique_ptr<sources::Source>> unpack_archives(
    const base::Call& call,
    std::unique_ptr<ArtifactSource> artifact,
    const UnpackPlace& place,
    transfer::Progress& progress);

}  // namespace weighbridge::pack
