#include "pack/testing/artifacts.h"

#include <algorithm>
#include <cstring>

#include "pack/testing/archives.h"
#include "pack/unpack.h"

namespace weighbridge::pack::testing {
namespace {

using base::Code;
using base::Error;
using base::Result;

Result<std::string> raw_layer(const MadeArtifact& artifact, const registry::Descriptor& layer) {
  const std::string& bytes = artifact.blobs.find(layer.digest.text())->second;
  if (bytes.size() != layer.size || registry::Digest::of(bytes) != layer.digest) {
    return Error(Code::kCorrupt, "a layer is not what its descriptor says");
  }
  return bytes;
}

Result<void> unpack(LayerUnpacker& unpacker, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto window = unpacker.window();
    if (window.empty()) {
      return Error(Code::kCorrupt, "a layer is longer than its descriptor says");
    }
    const std::size_t step = std::min(window.size(), bytes.size());
    std::memcpy(window.data(), bytes.data(), step);
    TRY(unpacker.landed(step));
    bytes.remove_prefix(step);
  }
  return unpacker.finish();
}

}  // namespace

registry::Descriptor& MadeArtifact::add(std::string_view media_type,
                                        std::string bytes,
                                        registry::Annotations annotations) {
  registry::Descriptor layer = registry::describe(media_type, bytes);
  layer.annotations = std::move(annotations);
  blobs[layer.digest.text()] = std::move(bytes);
  manifest.layers.push_back(std::move(layer));
  return manifest.layers.back();
}

MadeArtifact made_artifact(std::string_view config_type, std::string_view artifact_type) {
  return {.manifest = {.artifact_type = std::string(artifact_type),
                       .config = registry::describe(config_type, "{}"),
                       .layers = {},
                       .subject = {},
                       .annotations = {}},
          .blobs = {}};
}

Result<Files> read_all(const MadeArtifact& artifact, std::uint64_t limit_bytes) {
  const registry::Manifest manifest =
      TRY(registry::parse_manifest(registry::write_manifest(artifact.manifest)));
  ArtifactPlan plan = TRY(plan_artifact(manifest));
  Files files;
  for (const PlannedFile& file : plan.files) {
    std::string& bytes = files[file.path];
    for (const std::size_t layer : file.layers) {
      bytes += TRY(raw_layer(artifact, manifest.layers[layer]));
    }
  }
  for (const PlannedArchive& archive : plan.archives) {
    const registry::Descriptor& layer = manifest.layers[archive.layer];
    MemoryEntries entries;
    auto unpacker =
        TRY(LayerUnpacker::open(layer, {archive.compression, limit_bytes}, plan.paths, entries));
    TRY(unpack(*unpacker, artifact.blobs.find(layer.digest.text())->second));
    files.merge(entries.files);
  }
  return files;
}

}  // namespace weighbridge::pack::testing
