#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "pack/plan.h"
#include "registry/manifest.h"

namespace weighbridge::pack::testing {

// An artifact in memory: the manifest and the blobs by digest. A value.
struct MadeArtifact {
  registry::Manifest manifest;
  std::map<std::string, std::string, std::less<>> blobs;

  // Adds a layer and its bytes; returns its descriptor, to be changed.
  registry::Descriptor& add(std::string_view media_type,
                            std::string bytes,
                            registry::Annotations annotations = {});
};

MadeArtifact made_artifact(std::string_view config_type, std::string_view artifact_type = {});

using Files = std::map<std::string, std::string>;

// What a pull of it would give: the manifest written and parsed again, planned, and every layer
// checked and unpacked. The files, or the error that stops it; `limit_bytes` of all files.
base::Result<Files> read_all(const MadeArtifact& artifact, std::uint64_t limit_bytes = 1ULL << 24U);

}  // namespace weighbridge::pack::testing
