// A manifest from a registry, read into a plan: whatever it says, what is planned can be made below
// one directory, and every layer that is planned is there.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "formats/seal.h"
#include "model/snapshot.h"
#include "pack/plan.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weighbridge;
  const auto manifest = registry::parse_manifest({reinterpret_cast<const char*>(data), size});
  if (!manifest.ok()) {
    return 0;
  }
  const auto& layers = manifest.value().layers;
  const auto plan = pack::plan_artifact(manifest.value());
  if (!plan.ok()) {
    return 0;
  }
  for (const pack::PlannedFile& file : plan.value().files) {
    WB_CHECK(model::is_snapshot_path(file.path) && formats::is_sealable(file.path), "a bad path");
    std::uint64_t bytes = 0;
    for (const std::size_t layer : file.layers) {
      WB_CHECK(layer < layers.size(), "a layer that is not there");
      bytes += layers[layer].size;
    }
    WB_CHECK(bytes == file.size, "a file of another size than its layers");
  }
  const auto snapshot =
      pack::snapshot_of(plan.value(), manifest.value(), "fuzz", model::Trust::kOrigin);
  WB_CHECK(snapshot.files.size() == plan.value().files.size(), "a file was lost");
  return 0;
}
