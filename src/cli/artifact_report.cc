#include "cli/artifact_report.h"

#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/report.h"
#include "pack/oci_source.h"
#include "pack/plan.h"

namespace weighbridge::cli {
namespace {

using base::Call;
using base::Result;
using registry::Descriptor;

// As JSON on one line, or "null" where it is none.
std::string as_json_value(const std::string& config) {
  const auto document = base::JsonDocument::parse(config);
  return document.ok() ? document->root().text() : "null";
}

void annotations_object(base::JsonWriter& json, const registry::Annotations& annotations) {
  json.begin_object();
  for (const auto& [key, value] : annotations) {
    json.key(key);
    json.text(value);
  }
  json.end_object();
}

void layer_object(base::JsonWriter& json, const Descriptor& layer) {
  json.begin_object();
  json.key("media_type");
  json.text(layer.media_type);
  json.key("digest");
  json.text(layer.digest.text());
  json.key("bytes");
  json.number(layer.size);
  json.key("annotations");
  annotations_object(json, layer.annotations);
  json.end_object();
}

}  // namespace

Result<std::optional<ArtifactReport>> report_artifact(const Call& call, sources::Source& source) {
  auto* const behind = dynamic_cast<pack::ArtifactSource*>(&source);
  if (behind == nullptr) {
    return std::optional<ArtifactReport>();
  }
  ArtifactReport report{TRY(behind->artifact(call)), "null"};
  if (report.artifact->manifest.config.size <= registry::kMaxManifestBytes) {
    report.config = as_json_value(TRY(behind->config(call)));
  }
  return std::optional(std::move(report));
}

bool is_streamable(const ArtifactReport& report) {
  return report.artifact->plan.archives.empty();
}

void artifact_object(base::JsonWriter& json, const ArtifactReport& report) {
  const pack::RemoteArtifact& artifact = *report.artifact;
  json.begin_object();
  json.key("digest");
  json.text(artifact.fetched.digest.text());
  json.key("media_type");
  json.text(artifact.fetched.media_type);
  json.key("artifact_type");
  json.text(artifact.manifest.artifact_type);
  json.key("layout");
  json.text(pack::name_of(artifact.plan.layout));
  json.key("annotations");
  annotations_object(json, artifact.manifest.annotations);
  json.key("config_media_type");
  json.text(artifact.manifest.config.media_type);
  json.key("config");
  json.json(report.config);
  json.key("layers");
  json.begin_array();
  for (const Descriptor& layer : artifact.manifest.layers) {
    layer_object(json, layer);
  }
  json.end_array();
  json.end_object();
}

std::string artifact_text(const ArtifactReport& report) {
  const pack::RemoteArtifact& artifact = *report.artifact;
  std::string text = fmt::format("  manifest {}\n  written as {}, {}\n",
                                 artifact.fetched.digest.text(),
                                 pack::name_of(artifact.plan.layout),
                                 counted(artifact.manifest.layers.size(), "layer"));
  for (const auto& [key, value] : artifact.manifest.annotations) {
    text += fmt::format("  {}: {}\n", base::printable(key), base::printable(value, 1024));
  }
  if (report.config != "null" && report.config != registry::kEmptyJson) {
    text += fmt::format("  config {}\n", base::printable(report.config, 4096));
  }
  for (const pack::PlannedArchive& archive : artifact.plan.archives) {
    const Descriptor& layer = artifact.manifest.layers[archive.layer];
    text += fmt::format("  archive {:>14}  {}  {}\n",
                        layer.size,
                        layer.digest.text(),
                        base::printable(layer.media_type));
  }
  return text;
}

}  // namespace weighbridge::cli
