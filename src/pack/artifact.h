#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/range.h"
#include "base/result.h"
#include "base/units.h"
#include "pack/description.h"
#include "registry/digest.h"
#include "registry/manifest.h"

namespace weighbridge::pack {

// What a file is split at, where a registry takes no layer of its size: whole pieces.
inline constexpr std::uint64_t kPartUnitBytes = base::kMiB;
inline constexpr std::uint64_t kMaxParts = 99'999;

// A file to be packed, and the digests of its layers: one, or one a range of layer_ranges().
struct ArtifactFile {
  std::string path;
  std::uint64_t size = 0;
  bool executable = false;
  std::vector<registry::Digest> layers;
};

struct ArtifactParts {
  std::span<const ArtifactFile> files;  // in any order
  // The layer of the seal, by digest and size; of no use without all files.
  std::optional<registry::Descriptor> seal;
  const Description& description;
  // What the registry takes at most; nothing: no limit.
  std::optional<std::uint64_t> layer_limit_bytes;
};

// A manifest with its config, and the bytes of both.
struct Artifact {
  registry::Manifest manifest;
  std::string config_text;
  std::string manifest_text;

  registry::Digest digest() const { return registry::Digest::of(manifest_text); }
};

// The layers a file of that size becomes: one range unless it is larger than the limit.
// kUnsupported: the limit is below 1 MiB, or so low that there are more than kMaxParts.
base::Result<std::vector<base::Range>> layer_ranges(std::uint64_t file_bytes,
                                                    std::optional<std::uint64_t> limit_bytes);

// The one artifact of these files and this description. (docs/formats/oci-artifact.md)
// kInvalid: no files, a path that may not stand in a seal, two that cannot stand together.
// kExhausted: more layers or a larger manifest than registries take.
base::Result<Artifact> build_artifact(const ArtifactParts& parts);

}  // namespace weighbridge::pack
