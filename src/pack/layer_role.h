#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "pack/plan.h"
#include "registry/manifest.h"

namespace weighbridge::pack {

// A layer by itself: a file (or a part of one), an archive, or nothing to be pulled.
struct LayerRole {
  enum class Kind : std::uint8_t { kFile, kArchive, kNothing };

  struct Part {
    std::string path;  // of the whole file
    std::uint64_t offset = 0;
    std::uint64_t file_bytes = 0;
  };

  Kind kind = Kind::kNothing;
  Compression compression = Compression::kNone;  // of an archive
  std::string path;                              // of a file; of a part, the part's own
  bool executable = false;
  std::optional<Part> part;
};

Layout layout_of(const registry::Manifest& manifest);

// What each layer of the manifest is, in their order. The errors of plan_artifact, except those
// that only all layers together can have.
base::Result<std::vector<LayerRole>> layer_roles(const registry::Manifest& manifest, Layout layout);

}  // namespace weighbridge::pack
