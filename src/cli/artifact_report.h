#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/call.h"
#include "base/json_writer.h"
#include "base/result.h"
#include "pack/remote_artifact.h"
#include "sources/source.h"

namespace weighbridge::cli {

// What stands behind a source that is an artifact: its manifest, and its config as it came. A
// value.
struct ArtifactReport {
  std::shared_ptr<const pack::RemoteArtifact> artifact;
  std::string config;  // JSON; "null" where it is none, or longer than a manifest may be
};

// Nothing if the source stands on no artifact. Fetches the config; its digest is checked.
base::Result<std::optional<ArtifactReport>> report_artifact(const base::Call& call,
                                                            sources::Source& source);

// Can its files be read without unpacking an archive?
bool is_streamable(const ArtifactReport& report);

// One object: {digest, media_type, artifact_type, layout, annotations, config, layers}.
void artifact_object(base::JsonWriter& json, const ArtifactReport& report);
// The same for people.
std::string artifact_text(const ArtifactReport& report);

}  // namespace weighbridge::cli
