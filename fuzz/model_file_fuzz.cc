// weighbridge.yaml: what is accepted makes an artifact, and what `init` writes of it is accepted.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/check.h"
#include "pack/artifact.h"
#include "pack/description.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weighbridge;
  const auto description = pack::parse_model_file({reinterpret_cast<const char*>(data), size});
  if (!description.ok()) {
    return 0;
  }
  const std::string written = pack::write_model_file(description.value());
  const auto again = pack::parse_model_file(written);
  WB_CHECK(again.ok(), "what was written is not read");
  WB_CHECK(pack::write_model_file(again.value()) == written, "writing again gives another text");
  const pack::ArtifactFile file{"a", 0, false, {registry::Digest::of("")}};
  const auto artifact = pack::build_artifact({std::span(&file, 1), {}, description.value(), {}});
  if (artifact.ok()) {
    WB_CHECK(registry::parse_manifest(artifact.value().manifest_text).ok(),
             "what was built is not read");
  }
  return 0;
}
