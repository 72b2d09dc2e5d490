#include "pack/remote_artifact.h"

#include <utility>
#include <variant>

#include <fmt/format.h>

namespace weighbridge::pack {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

namespace {

// Of several, one for each platform or variant: which is meant, only the user knows.
Result<registry::Descriptor> only_one(const registry::Index& index, const std::string& name) {
  if (index.manifests.size() != 1) {
    return Error(Code::kUnsupported,
                 fmt::format("this is an index of {} manifests", index.manifests.size()))
        .in_file(name)
        .with_hint("Name one of them by its digest: repository@sha256:<hex>.");
  }
  return registry::Descriptor(index.manifests.front());
}

}  // namespace

model::Trust RemoteArtifact::trust() const {
  return reference.digest ? model::Trust::kPinned : model::Trust::kOrigin;
}

Result<RemoteArtifact> fetch_artifact(const Call& call,
                                      registry::Client& client,
                                      const registry::Reference& reference) {
  auto fetched = TRY(client.get_manifest(call, reference.repository, reference.name()));
  const auto parsed = registry::parse_manifest_or_index(fetched.bytes, fetched.media_type);
  if (const auto* const index =
          parsed.ok() ? std::get_if<registry::Index>(&parsed.value()) : nullptr) {
    const auto listed = TRY(only_one(*index, "oci://" + reference.text()));
    fetched = TRY(client.get_manifest(call, reference.repository, listed.digest));
  }
  auto manifest = registry::parse_manifest(fetched.bytes, fetched.media_type);
  if (!manifest.ok()) {
    return std::move(manifest).error().in_file("oci://" + reference.text());
  }
  auto plan = plan_artifact(manifest.value());
  if (!plan.ok()) {
    return std::move(plan).error().in_file("oci://" + reference.text());
  }
  return RemoteArtifact{
      reference, std::move(fetched), std::move(manifest).value(), std::move(plan).value()};
}

}  // namespace weighbridge::pack
