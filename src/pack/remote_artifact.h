#pragma once

#include "base/call.h"
#include "base/result.h"
#include "model/proof.h"
#include "pack/plan.h"
#include "registry/client.h"
#include "registry/manifest.h"
#include "registry/reference.h"

namespace weighbridge::pack {

// An artifact in a registry, as its manifest says: fetched once, and fixed from then on, also where
// the tag moves. A value. Thread-compatible.
struct RemoteArtifact {
  registry::Reference reference;  // as it was asked for
  registry::FetchedManifest fetched;
  registry::Manifest manifest;

  ArtifactPlan plan;

  // The trust with which the manifest holds what it names: kPinned by digest, kOrigin by tag.
  model::Trust trust() const;
};

// The manifest that the reference names. Of an index that lists one manifest alone, that one. What
// registry::Client::get_manifest, parse_manifest and plan_artifact fail with; kUnsupported: an
// index of several.
base::Result<RemoteArtifact> fetch_artifact(const base::Call& call,
                                            registry::Client& client,
                                            const registry::Reference& reference);

}  // namespace weighbridge::pack
