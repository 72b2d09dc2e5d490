#include "pack/oci_source.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "formats/seal.h"
#include "pack/plan.h"
#include "pack/seal_check.h"
#include "registry/reference.h"
#include "sync/guarded.h"

namespace weighbridge::pack {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;
using sources::Listing;

const PlannedFile* find_file(const ArtifactPlan& plan, std::string_view path) {
  const auto found = std::ranges::lower_bound(plan.files, path, {}, &PlannedFile::path);
  return found != plan.files.end() && found->path == path ? &*found : nullptr;
}

Error only_archives() {
  return Error(Code::kUnsupported, "files of this artifact stand in archives")
      .with_hint("`weighbridge pull` unpacks them into a directory, which can then be loaded.");
}

// Whether a model's weights may stand in this archive, as far as its media type tells.
bool may_hold_weights(const registry::Descriptor& layer) {
  constexpr std::array<std::string_view, 5> kOthers = {
      ".code.", ".doc.", ".docs.", ".dataset.", ".config."};
  return std::ranges::none_of(kOthers, [&](std::string_view other) {
    return layer.media_type.find(other) != std::string::npos;
  });
}

// Thread-safe: the client is, and the manifest is set once.
class OciSource final : public ArtifactSource {
 public:
  OciSource(registry::Client& client, registry::Reference reference)
      : client_(client), reference_(std::move(reference)), name_("oci://" + reference_.text()) {}

  // Always a directory. Asked first, so that a manifest that is not there is told as just that.
  Result<std::string> single_file(const Call& call) override {
    TRY(open(call));
    return std::string();
  }

  Result<std::optional<std::vector<std::byte>>> seal(const Call& call) override {
    const auto artifact = TRY(open(call));
    auto bytes = TRY(seal_layer(call));
    if (bytes && !artifact->plan.archives.empty()) {
      return only_archives().in_file(name_);  // which files there are, they alone say
    }
    if (bytes) {
      TRY(check_seal(*bytes, files_of(*artifact), printable(formats::kSealName)));
    }
    return bytes;
  }

  Result<std::optional<std::vector<std::byte>>> seal_layer(const Call& call) override {
    const auto artifact = TRY(open(call));
    if (!artifact->plan.seal) {
      return std::optional<std::vector<std::byte>>();
    }
    const registry::Descriptor& layer = artifact->manifest.layers[*artifact->plan.seal];
    const std::string text =
        TRY(client_.get_blob(call, reference_.repository, layer, formats::kMaxSealBytes));
    const auto bytes = std::as_bytes(std::span(text));
    return std::optional(std::vector<std::byte>(bytes.begin(), bytes.end()));
  }

  Result<std::shared_ptr<const RemoteArtifact>> artifact(const Call& call) override {
    return open(call);
  }

  Result<std::string> config(const Call& call) override {
    const auto artifact = TRY(open(call));
    return client_.get_blob(
        call, reference_.repository, artifact->manifest.config, registry::kMaxManifestBytes);
  }

  model::Trust seal_trust() const override { return trust_of_manifest(); }

  Result<std::optional<Listing>> list(const Call& call) override {
    const auto artifact = TRY(open(call));
    const auto& layers = artifact->manifest.layers;
    const bool hidden = std::ranges::any_of(artifact->plan.archives, [&](const auto& archive) {
      return may_hold_weights(layers[archive.layer]);
    });
    if (hidden || artifact->plan.files.empty()) {
      return only_archives().in_file(name_);
    }
    Listing listing;
    listing.files = files_of(*artifact);
    for (const PlannedArchive& archive : artifact->plan.archives) {
      listing.refused.push_back({layers[archive.layer].digest.text(),
                                 "it is an archive, which only `weighbridge pull` unpacks"});
    }
    std::ranges::sort(listing.refused, {}, &model::Refused::path);
    return std::optional(std::move(listing));
  }

  Result<model::File> find(const Call& call, std::string_view path) override {
    const auto artifact = TRY(open(call));
    if (path == formats::kSealName && artifact->plan.seal) {
      const registry::Descriptor& layer = artifact->manifest.layers[*artifact->plan.seal];
      model::File seal;
      seal.path = std::string(path);
      seal.size = layer.size;
      seal.validator.etag = layer.digest.text();
      return seal;
    }
    for (model::File& file : files_of(*artifact)) {
      if (file.path == path) {
        return std::move(file);
      }
    }
    return Error(Code::kNotFound, "no layer of the artifact is this file").in_file(printable(path));
  }

  Result<void> read_layer(const Call& call,
                          std::size_t layer,
                          base::Range range,
                          base::BodySink& sink) override {
    const auto artifact = TRY(open(call));
    return client_.read_blob(
        call, reference_.repository, artifact->manifest.layers[layer], range, sink);
  }

  Result<void> read(const Call& call,
                    const model::File& file,
                    base::Range range,
                    base::BodySink& sink) override {
    auto done = read_layers(call, file, range, sink);
    if (!done.ok()) {
      return std::move(done).error().in_file(printable(file.path));
    }
    return {};
  }

  std::string printable(std::string_view path) const override {
    return fmt::format("{}/{}", name_, path);
  }

  // The manifest's digest tells two revisions of a tag apart.
  std::string identity(std::string_view path) const override {
    const auto artifact = artifact_.with([](const auto& held) { return held; });
    const std::string revision = artifact == nullptr ? registry::to_text(reference_.name())
                                                     : artifact->fetched.digest.text();
    return fmt::format("oci://{}/{}@{}/{}", reference_.host, reference_.repository, revision, path);
  }

  // A registry hands blobs on from storage that bears more; its own processes should not have to.
  std::size_t max_connections() const override { return 32; }

  std::size_t first_connections() const override { return 4; }

 private:
  model::Trust trust_of_manifest() const {
    return reference_.digest ? model::Trust::kPinned : model::Trust::kOrigin;
  }

  // Of several that ask at once, what came first holds for all.
  Result<std::shared_ptr<const RemoteArtifact>> open(const Call& call) {
    if (auto artifact = artifact_.with([](const auto& held) { return held; })) {
      return artifact;
    }
    auto fetched =
        std::make_shared<const RemoteArtifact>(TRY(fetch_artifact(call, client_, reference_)));
    return artifact_.with([&](std::shared_ptr<const RemoteArtifact>& held) {
      if (held == nullptr) {
        held = std::move(fetched);
      }
      return held;
    });
  }

  // The layers that the range touches, one after another.
  Result<void> read_layers(const Call& call,
                           const model::File& file,
                           base::Range range,
                           base::BodySink& sink) {
    const auto artifact = TRY(open(call));
    const PlannedFile* const planned = find_file(artifact->plan, file.path);
    if (planned == nullptr || planned->size != file.size) {
      return Error(Code::kConflict, "the artifact holds no such file of that size");
    }
    std::uint64_t layer_begin = 0;
    for (const std::size_t i : planned->layers) {
      const registry::Descriptor& layer = artifact->manifest.layers[i];
      const std::uint64_t begin = std::max(range.begin, layer_begin);
      const std::uint64_t end = std::min(range.end, layer_begin + layer.size);
      if (begin < end) {
        const base::Range part{begin - layer_begin, end - layer_begin};
        TRY(client_.read_blob(call, reference_.repository, layer, part, sink));
      }
      layer_begin += layer.size;
    }
    return {};
  }

  registry::Client& client_;
  const registry::Reference reference_;
  const std::string name_;
  sync::Guarded<std::shared_ptr<const RemoteArtifact>> artifact_;
};

}  // namespace

std::vector<model::File> files_of(const RemoteArtifact& artifact) {
  std::vector<model::File> files =
      snapshot_of(artifact.plan, artifact.manifest, {}, artifact.trust()).files;
  for (std::size_t i = 0; i < files.size(); ++i) {
    std::string digests;
    for (const std::size_t layer : artifact.plan.files[i].layers) {
      digests += artifact.manifest.layers[layer].digest.text() + " ";
    }
    files[i].validator.etag = registry::Digest::of(digests).text();
  }
  return files;
}

Result<registry::Reference> oci_reference(const model::Ref& ref) {
  if (ref.location().find('?') != std::string::npos) {
    return Error(Code::kInvalid, "a reference to a registry has no query").in_file(ref.printable());
  }
  auto reference = registry::Reference::parse(ref.location());
  if (!reference.ok()) {
    return std::move(reference).error().in_file(ref.printable());
  }
  return reference;
}

Result<std::unique_ptr<ArtifactSource>> open_oci_source(registry::Client& client,
                                                        const model::Ref& ref) {
  return std::unique_ptr<ArtifactSource>(
      std::make_unique<OciSource>(client, TRY(oci_reference(ref))));
}

}  // namespace weighbridge::pack
