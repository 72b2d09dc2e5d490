#include "pack/remote_edit.h"

#include <optional>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "registry/manifest.h"

namespace weighbridge::pack {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;
using registry::Client;
using registry::Digest;
using registry::Reference;

std::string name_of(const Reference& reference) {
  return "oci://" + reference.text();
}

// What the manifest is attached to.
std::optional<Digest> subject_of(const registry::FetchedManifest& fetched) {
  const auto parsed = registry::parse_manifest_or_index(fetched.bytes, fetched.media_type);
  if (!parsed.ok()) {
    return std::nullopt;  // it can be removed all the same
  }
  const auto subject = std::visit([](const auto& value) { return value.subject; }, parsed.value());
  return subject ? std::optional(subject->digest) : std::nullopt;
}

Result<void> remove_by_digest(const Call& call, Client& client, const Reference& reference) {
  const auto fetched = TRY(client.get_manifest(call, reference.repository, *reference.digest));
  if (!TRY(client.delete_manifest(call, reference.repository, *reference.digest))) {
    return Error(Code::kNotFound, "there is no such artifact").in_file(name_of(reference));
  }
  const auto subject = subject_of(fetched);
  if (!subject) {
    return {};
  }
  // Asking for the others tells whether the registry keeps this list, or we do.
  TRY(client.referrers(call, reference.repository, *subject));
  if (!client.capabilities().referrers) {
    TRY(client.remove_from_referrers_tag(call, reference.repository, *subject, *reference.digest));
  }
  return {};
}

}  // namespace

Result<Digest> tag_artifact(const Call& call,
                            Client& client,
                            const Reference& from,
                            const std::string& tag) {
  const auto fetched = TRY(client.get_manifest(call, from.repository, from.name()));
  const auto put =
      TRY(client.put_manifest(call, from.repository, tag, fetched.media_type, fetched.bytes));
  if (put.digest != fetched.digest && fetched.digest.algorithm() == put.digest.algorithm()) {
    return Error(
               Code::kCorrupt,
               fmt::format("the registry made {} of {}", put.digest.text(), fetched.digest.text()))
        .in_file(name_of(from));
  }
  return fetched.digest;
}

Result<void> remove_artifact(const Call& call, Client& client, const Reference& reference) {
  if (reference.digest) {
    return remove_by_digest(call, client, reference);
  }
  const auto head = TRY(client.head_manifest(call, reference.repository, reference.name()));
  if (!head) {
    return Error(Code::kNotFound, "there is no such artifact").in_file(name_of(reference));
  }
  auto removed = client.delete_manifest(call, reference.repository, reference.name());
  if (!removed.ok() && removed.error().code() == Code::kUnsupported) {
    return std::move(removed)
        .error()
        .in_file(name_of(reference))
        .with_hint(fmt::format("oci://{}/{}@{} removes the artifact with all its tags, where the "
                               "registry deletes anything.",
                               reference.host,
                               reference.repository,
                               head->digest.text()));
  }
  TRY(std::move(removed));
  return {};
}

}  // namespace weighbridge::pack
