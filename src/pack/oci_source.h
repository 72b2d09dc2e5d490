#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/body_sink.h"
#include "base/call.h"
#include "base/range.h"
#include "base/result.h"
#include "model/ref.h"
#include "pack/remote_artifact.h"
#include "registry/client.h"
#include "registry/reference.h"
#include "sources/source.h"

namespace weighbridge::pack {

// A Source that stands on an artifact. Thread-safe.
class ArtifactSource : public sources::Source {
 public:
  // The manifest it reads, the same for all calls.
  virtual base::Result<std::shared_ptr<const RemoteArtifact>> artifact(const base::Call& call) = 0;
  // What seal() gives, not compared with the files.
  virtual base::Result<std::optional<std::vector<std::byte>>> seal_layer(
      const base::Call& call) = 0;
  // One try to read those bytes of a layer, as registry::Client::read_blob.
  virtual base::Result<void> read_layer(const base::Call& call,
                                        std::size_t layer,
                                        base::Range range,
                                        base::BodySink& sink) = 0;
  // The bytes of its config, checked. kExhausted above registry::kMaxManifestBytes.
  virtual base::Result<std::string> config(const base::Call& call) = 0;
};

// The files of an artifact in a registry, `oci://host/repository[:tag][@digest]`, straight from its
// layers. The manifest is fetched once: what a tag names may move, what is read does not. Its files
// are listed with the digests of their layers, held as the manifest is: kPinned by digest, kOrigin
// by tag; and so is the seal among the layers. A file in several layers has no digest of its own.
//
// kCorrupt: a seal that contradicts the manifest that names it, in its list of files, their sizes
// or their SHA-256. Files inside archives cannot be read by ranges and are not listed; kUnsupported
// where weights may stand in one, or the seal lists what stands there: `pull` unpacks them.
// kInvalid: the reference is none of a registry, or names a user. `client` is of the reference's
// host and outlives the source.
base::Result<std::unique_ptr<ArtifactSource>> open_oci_source(registry::Client& client,
                                                              const model::Ref& ref);

// The files of its raw layers with what the manifest says of them; a validator is a digest of
// those of their layers. In byte order of paths.
std::vector<model::File> files_of(const RemoteArtifact& artifact);

// The reference that stands in a Ref of this kind. kInvalid as registry::Reference::parse; the text
// of the Ref is not repeated, since it may hold a credential.
base::Result<registry::Reference> oci_reference(const model::Ref& ref);

}  // namespace weighbridge::pack
