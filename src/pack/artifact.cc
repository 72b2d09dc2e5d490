#include "pack/artifact.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/json_writer.h"
#include "base/text.h"
#include "formats/seal.h"
#include "pack/config.h"
#include "pack/media_types.h"
#include "pack/path_set.h"

namespace weighbridge::pack {
namespace {

using base::Code;
using base::Error;
using base::Result;
using registry::Descriptor;

// Owner and time are written as 0, so that they say nothing of the machine.
std::string metadata_text(std::string_view path, std::uint64_t size, bool executable) {
  std::string text;
  base::JsonWriter json(text);
  json.begin_object();
  json.key("name");
  json.text(path.substr(path.rfind('/') + 1));
  json.key("mode");
  json.number(executable ? 0755 : 0644);
  json.key("uid");
  json.number(0);
  json.key("gid");
  json.number(0);
  json.key("size");
  json.number(size);
  json.key("mtime");
  json.text("1970-01-01T00:00:00Z");
  json.key("typeflag");
  json.number(0);
  json.end_object();
  return text;
}

struct Named {
  std::string path;
  bool executable = false;
  KindOfFile kind;
};

Descriptor layer_of(const Named& named, const registry::Digest& digest, std::uint64_t size) {
  Descriptor layer{
      fmt::format("{}{}.v1.raw", kModelTypePrefix, name_of(named.kind.kind)), digest, size, {}, {}};
  layer.annotations.emplace(kFilepath, named.path);
  layer.annotations.emplace(kFileMetadata, metadata_text(named.path, size, named.executable));
  layer.annotations.emplace(kUntested, named.kind.guessed ? "true" : "false");
  layer.annotations.emplace(kTitle, named.path);
  return layer;
}

// Collects the layers of files in their order. Confined.
class LayerList {
 public:
  LayerList(const KindRules& kinds, std::optional<std::uint64_t> limit_bytes)
      : kinds_(kinds), limit_bytes_(limit_bytes) {}

  Result<void> add(const ArtifactFile& file) {
    if (!formats::is_sealable(file.path)) {
      return Error(Code::kInvalid,
                   fmt::format("'{}' may not stand in a model", base::printable(file.path)));
    }
    TRY(paths_.add_file(file.path));
    const auto ranges = TRY(layer_ranges(file.size, limit_bytes_));
    WB_CHECK(ranges.size() == file.layers.size(), "a file comes with the digests of its layers");
    const Named named{file.path, file.executable, kind_of(file.path, file.size, kinds_)};
    if (ranges.size() == 1) {
      layers_.push_back(layer_of(named, file.layers[0], file.size));
      return {};
    }
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      TRY(add_part(named, file, ranges, i));
    }
    return {};
  }

  std::vector<Descriptor> take() { return std::move(layers_); }

 private:
  Result<void> add_part(const Named& whole,
                        const ArtifactFile& file,
                        const std::vector<base::Range>& ranges,
                        std::size_t i) {
    Named named = whole;
    named.path = fmt::format("{}.part-{:05}-of-{:05}", file.path, i + 1, ranges.size());
    TRY(paths_.add_file(named.path));  // other tools write it
    Descriptor layer = layer_of(named, file.layers[i], ranges[i].size());
    layer.annotations.emplace(kPartFile, file.path);
    layer.annotations.emplace(kPartOffset, fmt::format("{}", ranges[i].begin));
    layer.annotations.emplace(kPartSize, fmt::format("{}", file.size));
    layers_.push_back(std::move(layer));
    return {};
  }

  const KindRules& kinds_;
  const std::optional<std::uint64_t> limit_bytes_;
  PathSet paths_;
  std::vector<Descriptor> layers_;
};

std::vector<const ArtifactFile*> in_order(std::span<const ArtifactFile> files) {
  std::vector<const ArtifactFile*> ordered;
  for (const ArtifactFile& file : files) {
    ordered.push_back(&file);
  }
  std::sort(ordered.begin(), ordered.end(), [](const auto* a, const auto* b) {
    return a->path < b->path;
  });
  return ordered;
}

Result<void> check_limits(const Artifact& artifact) {
  if (artifact.manifest.layers.size() <= registry::kMaxEntries &&
      artifact.manifest_text.size() <= registry::kMaxManifestBytes) {
    return {};
  }
  return std::move(Error(Code::kExhausted,
                         fmt::format("{} layers make a manifest of {}; registries take {}",
                                     artifact.manifest.layers.size(),
                                     base::format_bytes(artifact.manifest_text.size()),
                                     base::format_bytes(registry::kMaxManifestBytes))))
      .with_hint("Leave files out, or put small ones together into an archive.");
}

}  // namespace

Result<std::vector<base::Range>> layer_ranges(std::uint64_t file_bytes,
                                              std::optional<std::uint64_t> limit_bytes) {
  if (!limit_bytes || file_bytes <= *limit_bytes) {
    return std::vector<base::Range>{{0, file_bytes}};
  }
  const std::uint64_t part_bytes = *limit_bytes / kPartUnitBytes * kPartUnitBytes;
  if (part_bytes == 0 || base::divide_up(file_bytes, part_bytes) > kMaxParts) {
    return Error(Code::kUnsupported,
                 fmt::format("a file of {} cannot be split into layers of at most {}",
                             base::format_bytes(file_bytes),
                             base::format_bytes(*limit_bytes)));
  }
  std::vector<base::Range> ranges;
  for (std::uint64_t begin = 0; begin < file_bytes; begin += part_bytes) {
    ranges.push_back({begin, std::min(begin + part_bytes, file_bytes)});
  }
  return ranges;
}

Result<Artifact> build_artifact(const ArtifactParts& parts) {
  if (parts.files.empty()) {
    return Error(Code::kInvalid, "a model without files cannot be packed");
  }
  LayerList list(parts.description.kinds, parts.layer_limit_bytes);
  for (const ArtifactFile* file : in_order(parts.files)) {
    TRY(list.add(*file));
  }
  std::vector<Descriptor> layers = list.take();
  if (parts.seal) {
    const Named named{std::string(formats::kSealName), false, {LayerKind::kDoc, false}};
    layers.push_back(layer_of(named, parts.seal->digest, parts.seal->size));
  }
  std::string config = config_text(parts.description, layers);
  Descriptor described = registry::describe(kModelConfigType, config);
  Artifact artifact{.manifest = {.artifact_type = std::string(kModelManifestType),
                                 .config = std::move(described),
                                 .layers = std::move(layers),
                                 .subject = {},
                                 .annotations = manifest_annotations(parts.description)},
                    .config_text = std::move(config),
                    .manifest_text = {}};
  artifact.manifest_text = registry::write_manifest(artifact.manifest);
  TRY(check_limits(artifact));
  return artifact;
}

}  // namespace weighbridge::pack
