#include "pack/pack.h"

#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "hash/sha256.h"
#include "index/index.h"
#include "pack/infer.h"
#include "pack/media_types.h"
#include "sources/buffer_sink.h"

namespace weighbridge::pack {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

Error changed(sources::Source& source, std::string_view path) {
  return Error(Code::kConflict, "the file changed while it was packed")
      .in_file(source.printable(path));
}

// A small file beside the weights; nothing if it is not there or longer than `limit_bytes`.
Result<std::optional<std::string>> read_small(const Call& call,
                                              sources::Source& source,
                                              const model::Snapshot& snapshot,
                                              std::string_view path,
                                              std::uint64_t limit_bytes) {
  const model::File* file = snapshot.find(path);
  if (file == nullptr || file->size > limit_bytes) {
    return std::optional<std::string>();
  }
  sources::BufferSink sink(file->size);
  TRY(source.read(call, *file, {0, file->size}, sink));
  const std::vector<std::byte> bytes = sink.take();
  if (bytes.size() != file->size || (file->sha256 && hash::Sha256::of(bytes) != *file->sha256)) {
    return changed(source, path);
  }
  return std::optional(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

// What was written down about the model; nothing if it was not.
Result<std::optional<Description>> stated_in(const Call& call,
                                             sources::Source& source,
                                             const model::Snapshot& snapshot,
                                             std::string_view name,
                                             Result<Description> (*parse)(std::string_view)) {
  const model::File* file = snapshot.find(name);
  if (file == nullptr) {
    return std::optional<Description>();
  }
  if (file->size > kMaxModelFileBytes) {
    return Error(Code::kExhausted,
                 fmt::format("{} is longer than {}", name, base::format_bytes(kMaxModelFileBytes)))
        .in_file(source.printable(name));
  }
  const auto text = TRY(read_small(call, source, snapshot, name, kMaxModelFileBytes));
  return std::optional(TRY(parse(*text)));
}

Result<Description> stated(const Call& call,
                           sources::Source& source,
                           const model::Snapshot& snapshot) {
  auto ours = TRY(stated_in(call, source, snapshot, kModelFileName, parse_model_file));
  if (ours) {
    return std::move(*ours);
  }
  auto ormbs = TRY(stated_in(call, source, snapshot, kOrmbfileName, parse_ormbfile));
  return ormbs ? std::move(*ormbs) : Description();
}

std::vector<ArtifactFile> artifact_files(const formats::Seal& seal) {
  std::vector<ArtifactFile> files;
  for (const formats::SealedFile& file : seal.files) {
    files.push_back({file.path, file.size, file.executable, {registry::Digest(file.sha256)}});
  }
  return files;
}

registry::Descriptor seal_descriptor(std::span<const std::byte> seal) {
  return {std::string(), registry::Digest::of(seal), seal.size(), {}, {}};
}

// Writes a blob unless it is there.
Result<void> write_blob(ImageLayout& layout,
                        const registry::Descriptor& blob,
                        std::string_view bytes) {
  return TRY(layout.has(blob)) ? Result<void>() : layout.write_small(blob, bytes);
}

}  // namespace

Result<Description> describe_model(const Call& call,
                                   transfer::Transfer& transfer,
                                   sources::Source& source,
                                   const model::Snapshot& snapshot) {
  Description said = TRY(stated(call, source, snapshot));
  const auto config =
      TRY(read_small(call, source, snapshot, kModelConfigName, kMaxModelConfigBytes));
  auto index = index::Index::open(call, transfer, source, snapshot);
  TRY(call.check());
  std::vector<const formats::SafetensorsTable*> tables;
  if (index.ok()) {
    for (const index::IndexedFile& file : index.value().files()) {
      tables.push_back(file.table.get());
    }
  }
  const std::optional<std::string_view> text =
      config ? std::optional<std::string_view>(*config) : std::nullopt;
  return merge(std::move(said), infer({snapshot.files, text, tables}));
}

Result<PackedModel> pack_model(const Call& call,
                               transfer::Transfer& transfer,
                               sources::Source& source,
                               transfer::Progress& progress) {
  const auto listing = TRY(source.list(call));
  if (!listing) {
    return Error(Code::kUnsupported, "the files of this source cannot be listed");
  }
  if (listing->files.empty() && listing->refused.empty()) {
    return Error(Code::kNotFound, "nothing to pack: there is no file");
  }
  formats::Seal seal = TRY(transfer::make_seal(call, source, *listing, progress));
  std::vector<std::byte> bytes = TRY(formats::write_seal(seal));
  const model::Snapshot snapshot = formats::snapshot_of(
      seal, source.printable(""), hash::Sha256::of(bytes), model::Trust::kFirstSeen);
  const Description description = TRY(describe_model(call, transfer, source, snapshot));
  const std::vector<ArtifactFile> files = artifact_files(seal);
  Artifact artifact = TRY(build_artifact({files, seal_descriptor(bytes), description, {}}));
  return PackedModel{std::move(seal), std::move(bytes), std::move(artifact)};
}

Result<void> write_to_layout(const Call& call,
                             sources::Source& source,
                             const PackedModel& packed,
                             ImageLayout& layout,
                             std::string_view tag) {
  for (const formats::SealedFile& sealed : packed.seal.files) {
    const registry::Descriptor blob{
        std::string(), registry::Digest(sealed.sha256), sealed.size, {}, {}};
    if (TRY(layout.has(blob))) {
      continue;
    }
    const model::File file = TRY(source.find(call, sealed.path));
    if (file.size != sealed.size) {
      return changed(source, sealed.path);
    }
    auto writing = TRY(layout.begin_blob(blob));
    TRY(source.read(call, file, {0, file.size}, *writing));
    TRY(writing->commit());
  }
  const Artifact& artifact = packed.artifact;
  const std::string_view seal{reinterpret_cast<const char*>(packed.seal_bytes.data()),
                              packed.seal_bytes.size()};
  TRY(write_blob(layout, seal_descriptor(packed.seal_bytes), seal));
  TRY(write_blob(layout, artifact.manifest.config, artifact.config_text));
  registry::Descriptor manifest =
      registry::describe(artifact.manifest.media_type, artifact.manifest_text);
  manifest.artifact_type = artifact.manifest.artifact_type;
  TRY(write_blob(layout, manifest, artifact.manifest_text));
  return layout.add_manifest(std::move(manifest), tag);
}

}  // namespace weighbridge::pack
