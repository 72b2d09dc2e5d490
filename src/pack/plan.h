#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/proof.h"
#include "model/snapshot.h"
#include "pack/decompress.h"
#include "pack/path_set.h"
#include "registry/manifest.h"

namespace weighbridge::pack {

// Who wrote an artifact, as far as its media types tell.
enum class Layout : std::uint8_t { kModelPack, kOrmb, kKitOps, kDocker, kOllama, kFiles };

std::string_view name_of(Layout layout);  // "modelpack", "ormb", ...

// A file that stands in layers as it is.
struct PlannedFile {
  std::string path;
  std::uint64_t size = 0;
  bool executable = false;
  std::vector<std::size_t> layers;  // in Manifest::layers; one after another, they are the file
};

// A layer that is an archive of files; which ones, only its bytes say.
struct PlannedArchive {
  std::size_t layer = 0;
  Compression compression = Compression::kNone;
};

// Which layers of a manifest give which files.
struct ArtifactPlan {
  Layout layout = Layout::kFiles;
  std::vector<PlannedFile> files;  // in byte order of paths, without the seal
  std::vector<PlannedArchive> archives;
  std::optional<std::size_t> seal;    // the layer that is the seal
  std::vector<std::string> left_out;  // paths that no seal may list
  PathSet paths;                      // those of `files`; LayerUnpacker adds those of archives
};

// Reads a manifest of ours or of the tools that docs/formats/oci-artifact.md lists. Names the layer
// or path at fault. kInvalid: a path that PathSet refuses. kCorrupt: sizes that disagree, parts
// that do not join, metadata that is none. kUnsupported: a layer that is no file and no archive we
// can read. kNotFound: the artifact holds no file at all.
base::Result<ArtifactPlan> plan_artifact(const registry::Manifest& manifest);

// The files of the plan as a Snapshot with the digests that the manifest names, held with `trust`.
// It is `listed` if there are no archives. A file in several layers has no digest of its own.
model::Snapshot snapshot_of(const ArtifactPlan& plan,
                            const registry::Manifest& manifest,
                            std::string origin,
                            model::Trust trust);

}  // namespace weighbridge::pack
