#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "registry/digest.h"

namespace weighbridge::registry {

inline constexpr std::string_view kManifestType = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kIndexType = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kDockerManifestType =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kDockerIndexType =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view kEmptyType = "application/vnd.oci.empty.v1+json";
inline constexpr std::string_view kEmptyJson = "{}";

// What registries accept at least, and what we read at most.
inline constexpr std::uint64_t kMaxManifestBytes = 4 * base::kMiB;
// Layers of a manifest, manifests of an index.
inline constexpr std::size_t kMaxEntries = 32'768;
inline constexpr std::size_t kMaxManifestDepth = 32;

using Annotations = std::map<std::string, std::string, std::less<>>;

// Names content: what it is, its digest and its size. A value. Thread-compatible.
struct Descriptor {
  std::string media_type;
  Digest digest;
  std::uint64_t size = 0;
  std::string artifact_type;  // empty: none
  Annotations annotations;

  friend bool operator==(const Descriptor&, const Descriptor&) = default;
};

struct Manifest {
  std::string media_type{kManifestType};
  std::string artifact_type;  // empty: none
  Descriptor config;
  std::vector<Descriptor> layers;
  std::optional<Descriptor> subject;
  Annotations annotations;

  friend bool operator==(const Manifest&, const Manifest&) = default;
};

struct Index {
  std::string media_type{kIndexType};
  std::string artifact_type;  // empty: none
  std::vector<Descriptor> manifests;
  std::optional<Descriptor> subject;
  Annotations annotations;

  friend bool operator==(const Index&, const Index&) = default;
};

using ManifestOrIndex = std::variant<Manifest, Index>;

// Reads a manifest or an index of OCI or of Docker's schema 2. `media_type` is what the registry
// or descriptor called it; empty: not known. Members we do not know are passed over, as the
// specification asks. kCorrupt, with the place: not JSON, a member of the wrong type, named twice
// or missing, a digest or size that is none, both layers and manifests, a mediaType inside that is
// not the one outside. kExhausted: above the limits of size, depth or entries. kUnsupported:
// Docker's schema 1, another type of manifest, a digest that we cannot check.
base::Result<ManifestOrIndex> parse_manifest_or_index(std::string_view bytes,
                                                      std::string_view media_type = {});
// The same for a caller that wants no index: kUnsupported.
base::Result<Manifest> parse_manifest(std::string_view bytes, std::string_view media_type = {});

// The one text of a value: equal values, equal bytes, equal digest. Members in the order of the
// specification, annotations by key, what is empty left out.
std::string write_manifest(const Manifest& manifest);
std::string write_index(const Index& index);

// A descriptor of bytes at hand, by their SHA-256.
Descriptor describe(std::string_view media_type, std::string_view bytes);
// Of `{}`: the config of an artifact that has none.
Descriptor empty_descriptor();

// Of config and layers together; kCorrupt if it does not fit in 63 bits.
base::Result<std::uint64_t> total_bytes(const Manifest& manifest);

}  // namespace weighbridge::registry
