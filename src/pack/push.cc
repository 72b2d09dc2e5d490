#include "pack/push.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "hash/sha256.h"
#include "pack/artifact.h"
#include "pack/in_parallel.h"
#include "pack/local_bytes.h"
#include "pack/oci_source.h"
#include "pack/pack.h"
#include "pack/push_file.h"
#include "transfer/make_seal.h"
#include "transfer/resolve.h"

namespace weighbridge::pack {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

// A registry that does not take a blob in parts takes none larger than one request.
std::optional<std::uint64_t> layer_limit(const registry::Capabilities& known) {
  if (known.patch || !known.max_body_bytes) {
    return known.max_layer_bytes;
  }
  return std::min(*known.max_body_bytes, known.max_layer_bytes.value_or(*known.max_body_bytes));
}

std::string path_without_slash(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) {
    path.pop_back();
  }
  return path;
}

// Confined to push(), but for the workers of its own.
class Push {
 public:
  Push(const PushParts& parts, const PushFrom& from, const PushTo& to, transfer::Progress& progress)
      : parts_(parts),
        from_(from),
        to_(to),
        progress_(progress),
        patience_(sync::seeded_random(parts.seed), progress),
        target_{to.client, to.reference.repository, mounts(from, to), patience_, progress} {}

  Result<Pushed> run(const Call& call) {
    TRY(list(call));
    look_before(call);
    TRY(call.check());
    const Description description =
        TRY(describe_model(call, parts_.transfer, from_.source, snapshot_));
    limit_ = layer_limit(to_.client.capabilities());
    auto pushed = push_files(call);
    if (parts_.local_proofs != nullptr) {
      parts_.local_proofs->remember();  // also what a push that failed has read
    }
    TRY(std::move(pushed));
    return put_together(call, description);
  }

 private:
  // Where blobs may be had from: also from the repository that the model comes from.
  static std::vector<std::string> mounts(const PushFrom& from, const PushTo& to) {
    std::vector<std::string> repositories = to.mount_from;
    if (from.ref.scheme() == model::Scheme::kOci) {
      const auto source = oci_reference(from.ref);
      if (source.ok() && source->host == to.reference.host &&
          source->repository != to.reference.repository) {
        repositories.push_back(source->repository);
      }
    }
    return repositories;
  }

  bool is_local() const { return from_.ref.scheme() == model::Scheme::kFile; }

  // Which files there are.
  Result<void> list(const Call& call) {
    TRY(is_local() ? list_local(call) : resolve(call));
    if (snapshot_.files.empty()) {
      return Error(Code::kNotFound, "nothing to push: there is no file")
          .in_file(from_.ref.printable());
    }
    for (const model::File& file : snapshot_.files) {
      progress_.wanted_bytes += file.size;
    }
    return {};
  }

  Result<void> list_local(const Call& call) {
    auto listing = TRY(from_.source.list(call));
    const std::string single = TRY(from_.source.single_file(call));
    if (!listing || !single.empty()) {
      return Error(Code::kInvalid, "only a directory can be pushed").in_file(from_.ref.printable());
    }
    TRY(transfer::nothing_refused(*listing));
    snapshot_.origin = from_.ref.printable();
    snapshot_.listed = true;
    snapshot_.files = std::move(listing->files);
    return {};
  }

  Result<void> resolve(const Call& call) {
    snapshot_ = TRY(transfer::resolve(call, from_.source, from_.ref));
    if (!snapshot_.listed) {
      return Error(Code::kUnsupported, "the files of this source cannot be listed")
          .in_file(from_.ref.printable())
          .with_hint("A seal beside the files lists them: `weighbridge seal` where they lie.");
    }
    if (!snapshot_.seal_sha256) {
      return {};
    }
    const auto bytes = TRY(from_.source.seal(call));
    if (!bytes || hash::Sha256::of(*bytes) != *snapshot_.seal_sha256) {
      return Error(Code::kConflict, "the seal changed while it was being read")
          .in_file(from_.ref.printable());
    }
    formats::Seal seal = TRY(formats::parse_seal(*bytes));
    for (formats::SealedFile& file : seal.files) {
      trusted_.emplace(file.path, std::move(file));
    }
    return {};
  }

  // What a seal that is trusted for the Ref says of the file.
  const formats::SealedFile* trusted(const model::File& file) const {
    const auto found = trusted_.find(file.path);
    const bool vouched = file.trust == model::Trust::kPinned || file.trust == model::Trust::kOrigin;
    return vouched && found != trusted_.end() ? &found->second : nullptr;
  }

  // What the registry has under the tag, or in the repository. Not to know it costs time alone.
  void look_before(const Call& call) {
    if (is_local()) {
      add_seal(from_.source.seal(call));
    }
    const auto there = manifest_before(call);
    if (!there) {
      return;
    }
    const auto manifest = registry::parse_manifest(there->bytes, there->media_type);
    if (!manifest.ok()) {
      return;
    }
    for (const registry::Descriptor& layer : manifest->layers) {
      before_.layer_sizes.insert(layer.size);
      const auto title = layer.annotations.find("org.opencontainers.image.title");
      if (title != layer.annotations.end() && title->second == formats::kSealName) {
        add_seal(seal_there(call, layer));
      }
    }
  }

  std::optional<registry::FetchedManifest> manifest_before(const Call& call) {
    const std::string& repository = to_.reference.repository;
    auto there = patience_.run(call, to_.reference.text(), [&] {
      return to_.client.get_manifest(call, repository, name());
    });
    if (there.ok()) {
      before_.manifest = there->digest;
      return std::move(*there);
    }
    if (there.error().code() != Code::kNotFound) {
      return std::nullopt;
    }
    const auto tags = to_.client.tags(call, repository);
    if (!tags.ok() || tags->empty()) {
      return std::nullopt;
    }
    there = to_.client.get_manifest(call, repository, tags->back());
    return there.ok() ? std::optional(std::move(*there)) : std::nullopt;
  }

  Result<std::optional<std::vector<std::byte>>> seal_there(const Call& call,
                                                           const registry::Descriptor& layer) {
    const std::string text =
        TRY(to_.client.get_blob(call, to_.reference.repository, layer, formats::kMaxSealBytes));
    const auto bytes = std::as_bytes(std::span(text));
    return std::optional(std::vector<std::byte>(bytes.begin(), bytes.end()));
  }

  void add_seal(const Result<std::optional<std::vector<std::byte>>>& bytes) {
    if (!bytes.ok() || !*bytes) {
      return;
    }
    auto seal = formats::parse_seal(**bytes);
    if (seal.ok()) {
      before_.seals.push_back(std::move(*seal));
    }
  }

  registry::TagOrDigest name() const { return to_.reference.name(); }

  Result<void> push_files(const Call& call) {
    const std::string directory = path_without_slash(from_.ref.location());
    const FilePush push{parts_, from_, target_, before_, limit_};
    contents_.resize(snapshot_.files.size());
    std::vector<std::size_t> order(snapshot_.files.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    // The longest first, so that all end together.
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
      return snapshot_.files[a].size > snapshot_.files[b].size;
    });
    return in_parallel(call,
                       order.size(),
                       is_local() ? kUploads : kStreams,
                       [&](const Call& inner, std::size_t i) -> Result<void> {
                         const model::File& file = snapshot_.files[order[i]];
                         contents_[order[i]] =
                             TRY(is_local() ? push_local_file(inner, push, directory, file)
                                            : push_streamed_file(inner, push, file, trusted(file)));
                         return {};
                       });
  }

  // The seal, the config and the manifest, which names all of it and comes last.
  Result<Pushed> put_together(const Call& call, const Description& description) {
    formats::Seal seal;
    std::vector<ArtifactFile> files;
    for (PushedContent& content : contents_) {
      const formats::SealedFile& file = content.sealed;
      files.push_back({file.path, file.size, file.executable, content.layers});
      seal.files.push_back(std::move(content.sealed));
    }
    const std::vector<std::byte> seal_bytes = TRY(formats::write_seal(seal));
    const registry::Descriptor sealed{
        {}, registry::Digest::of(seal_bytes), seal_bytes.size(), {}, {}};
    const Artifact artifact = TRY(build_artifact({files, sealed, description, limit_}));
    Pushed pushed{
        .digest = artifact.digest(), .seal_sha256 = hash::Sha256::of(seal_bytes), .files = {}};
    for (std::size_t i = 0; i < files.size(); ++i) {
      pushed.files.push_back({files[i].path, files[i].size, contents_[i].how});
      pushed.bytes += files[i].size;
      pushed.sent_bytes += contents_[i].how == UploadedBlob::How::kSent ? files[i].size : 0;
    }
    pushed.was_there = before_.manifest == pushed.digest;
    if (!pushed.was_there) {
      TRY(put_manifest(call, artifact, seal_bytes));
    }
    return pushed;
  }

  Result<void> put_manifest(const Call& call,
                            const Artifact& artifact,
                            std::span<const std::byte> seal) {
    const auto named = name();
    const auto* const digest = std::get_if<registry::Digest>(&named);
    if (digest != nullptr && *digest != artifact.digest()) {
      return Error(Code::kInvalid,
                   fmt::format("the model's manifest is {}, and the reference names {}",
                               artifact.digest().text(),
                               digest->text()))
          .with_hint("Push to a tag.");
    }
    const auto config = std::as_bytes(std::span(artifact.config_text));
    const std::array small{std::pair("the seal", seal), std::pair("the config", config)};
    TRY(in_parallel(
        call, small.size(), small.size(), [&](const Call& inner, std::size_t i) -> Result<void> {
          MemoryBytes bytes(small[i].second);
          TRY(upload_blob(inner, target_, small[i].first, bytes));
          return {};
        }));
    TRY(patience_.run(call, to_.reference.text(), [&] {
      return to_.client.put_manifest(call,
                                     to_.reference.repository,
                                     named,
                                     artifact.manifest.media_type,
                                     artifact.manifest_text);
    }));
    return {};
  }

  const PushParts& parts_;
  const PushFrom& from_;
  const PushTo& to_;
  transfer::Progress& progress_;
  const Patience patience_;
  const BlobTarget target_;
  model::Snapshot snapshot_;
  std::map<std::string, formats::SealedFile, std::less<>> trusted_;  // of the source's seal
  Before before_;
  std::optional<std::uint64_t> limit_;
  std::vector<PushedContent> contents_;
};

}  // namespace

Result<Pushed> push(const Call& call,
                    const PushParts& parts,
                    const PushFrom& from,
                    const PushTo& to,
                    transfer::Progress& progress) {
  return Push(parts, from, to, progress).run(call);
}

}  // namespace weighbridge::pack
