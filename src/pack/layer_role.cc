#include "pack/layer_role.h"

#include <algorithm>
#include <array>
#include <map>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "pack/media_types.h"

namespace weighbridge::pack {
namespace {

using base::Code;
using base::Error;
using base::Result;
using registry::Descriptor;
using registry::Manifest;
using Kind = LayerRole::Kind;

constexpr std::string_view kOrmbConfig = "application/vnd.caicloud.model.config.v1alpha1+json";
constexpr std::string_view kKitPrefix = "application/vnd.kitops.modelkit.";
constexpr std::string_view kDockerPrefix = "application/vnd.docker.ai.";
constexpr std::string_view kOllamaPrefix = "application/vnd.ollama.image.";
constexpr std::string_view kOrasUnpack = "io.deis.oras.content.unpack";
// Larger is no description of one file.
constexpr std::size_t kMaxMetadataBytes = 64 * 1024;

std::string_view annotation(const Descriptor& layer, std::string_view key) {
  const auto found = layer.annotations.find(key);
  return found == layer.annotations.end() ? std::string_view() : found->second;
}

// The first that is there.
std::string_view annotation(const Descriptor& layer, std::span<const std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (const std::string_view value = annotation(layer, key); !value.empty()) {
      return value;
    }
  }
  return {};
}

std::string_view path_annotation(const Descriptor& layer) {
  constexpr std::array kKeys{kFilepath, kOldFilepath, kTitle};
  return annotation(layer, kKeys);
}

Error refuse(const Descriptor& layer, std::string_view why) {
  return {Code::kUnsupported,
          fmt::format(
              "the layer {} ({}) {}", layer.digest.text(), base::printable(layer.media_type), why)};
}

// "tar", "x.tar+gzip": the end of a media type that names an archive.
std::optional<Compression> archive_suffix(std::string_view media_type) {
  constexpr std::array<std::pair<std::string_view, Compression>, 5> kSuffixes{{
      {"tar", Compression::kNone},
      {"tar+gzip", Compression::kGzip},
      {"tar.gzip", Compression::kGzip},
      {"tar+zstd", Compression::kZstd},
      {"tar+none", Compression::kNone},
  }};
  for (const auto& [suffix, compression] : kSuffixes) {
    if (media_type.ends_with(suffix)) {
      const std::string_view before = media_type.substr(0, media_type.size() - suffix.size());
      if (before.ends_with('.') || before.ends_with('/')) {
        return compression;
      }
    }
  }
  return std::nullopt;
}

LayerRole archive(Compression compression) {
  LayerRole role;
  role.kind = Kind::kArchive;
  role.compression = compression;
  return role;
}

LayerRole file(std::string path) {
  LayerRole role;
  role.kind = Kind::kFile;
  role.path = std::move(path);
  return role;
}

// What `file.metadata+json` says of a file that stands in the layer as it is.
Result<void> read_metadata(const Descriptor& layer, LayerRole& role) {
  constexpr std::array kKeys{kFileMetadata, kOldFileMetadata};
  const std::string_view text = annotation(layer, kKeys);
  if (text.empty()) {
    return {};
  }
  if (text.size() > kMaxMetadataBytes) {
    return Error(Code::kExhausted,
                 fmt::format("the metadata of '{}' is too long", base::printable(role.path)));
  }
  const auto take = [&](std::string_view key, base::JsonValue value) -> Result<void> {
    if (key == "mode") {
      role.executable = (TRY(value.as_u64()) & 0100U) != 0;
    } else if (key == "size" && TRY(value.as_u64()) != layer.size) {
      return Error(Code::kCorrupt, "the size is not that of the layer");
    } else if (key == "typeflag") {
      const std::uint64_t type = TRY(value.as_u64());
      if (type != 0 && type != '0') {
        return Error(Code::kUnsupported, "it is a link, a directory or a device");
      }
    }
    return {};
  };
  const auto read = [&]() -> Result<void> {
    const auto document = TRY(base::JsonDocument::parse(text, 8));
    return document.root().each_member(take);
  };
  if (Result<void> done = read(); !done.ok()) {
    const Code code =
        done.error().code() == Code::kUnsupported ? Code::kUnsupported : Code::kCorrupt;
    return std::move(done).error().with_code(code).context(
        fmt::format("the metadata of '{}'", base::printable(role.path)));
  }
  return {};
}

Result<std::uint64_t> number(const Descriptor& layer, std::string_view key) {
  if (const auto value = base::parse_decimal(annotation(layer, key))) {
    return *value;
  }
  return Error(
      Code::kCorrupt,
      fmt::format("the layer {} is part of a file and has no {}", layer.digest.text(), key));
}

Result<LayerRole> named_file(const Descriptor& layer, std::string path) {
  LayerRole role = file(std::move(path));
  TRY(read_metadata(layer, role));
  if (const std::string_view whole = annotation(layer, kPartFile); !whole.empty()) {
    const std::uint64_t offset = TRY(number(layer, kPartOffset));
    const std::uint64_t file_bytes = TRY(number(layer, kPartSize));
    role.part = LayerRole::Part{std::string(whole), offset, file_bytes};
  }
  return role;
}

bool is_model_pack(std::string_view media_type) {
  return media_type.starts_with(kModelTypePrefix) || media_type.starts_with(kOldModelTypePrefix);
}

// "weight.v1.raw" and its like. Of another type, what any tool would make of it.
Result<LayerRole> any_layer(const Descriptor& layer) {
  const std::string_view path = path_annotation(layer);
  const auto compression = archive_suffix(layer.media_type);
  if (is_model_pack(layer.media_type)) {
    if (compression) {
      return archive(*compression);
    }
    if (!layer.media_type.ends_with(".raw")) {
      return refuse(layer, "is of an encoding that is not known here");
    }
  } else if (annotation(layer, kOrasUnpack) == "true") {
    return archive(compression.value_or(Compression::kGzip));
  } else if (path.empty() && compression) {
    return archive(*compression);
  } else if (path.empty() && layer.media_type == registry::kEmptyType) {
    return LayerRole();
  }
  if (path.empty()) {
    return refuse(layer, "has no title and no path, so it is no file that could be named");
  }
  return named_file(layer, std::string(path));
}

Result<LayerRole> archive_only(const Descriptor& layer) {
  if (const auto compression = archive_suffix(layer.media_type)) {
    return archive(*compression);
  }
  return refuse(layer, "is no archive");
}

// Layers of one media type are numbered where there are several. Confined.
class Names {
 public:
  explicit Names(const Manifest& manifest) {
    for (const Descriptor& layer : manifest.layers) {
      total_[layer.media_type] += path_annotation(layer).empty() ? 1 : 0;
    }
  }

  // "model.gguf", or "model-00002-of-00003.gguf".
  std::string of_shard(const Descriptor& layer, std::string_view stem, std::string_view ending) {
    const std::size_t total = total_[layer.media_type];
    const std::size_t i = ++seen_[layer.media_type];
    return total == 1 ? fmt::format("{}{}", stem, ending)
                      : fmt::format("{}-{:05}-of-{:05}{}", stem, i, total, ending);
  }

  // "license", "license-2", ...
  std::string of_one(const Descriptor& layer, std::string_view stem, std::string_view ending) {
    const std::size_t i = ++seen_[layer.media_type];
    return i == 1 ? fmt::format("{}{}", stem, ending) : fmt::format("{}-{}{}", stem, i, ending);
  }

 private:
  std::map<std::string, std::size_t> total_;
  std::map<std::string, std::size_t> seen_;
};

struct NamedType {
  std::string_view type;  // what follows the prefix
  std::string_view stem;
  std::string_view ending;
};

Result<LayerRole> docker_layer(const Descriptor& layer, Names& names) {
  constexpr std::array<NamedType, 6> kTypes{{{"gguf.v3", "model", ".gguf"},
                                             {"safetensors", "model", ".safetensors"},
                                             {"mmproj", "model", ".mmproj"},
                                             {"chat.template.jinja", "template", ".jinja"},
                                             {"dduf", "model", ".dduf"},
                                             {"license", "LICENSE", ""}}};
  if (!layer.media_type.starts_with(kDockerPrefix)) {
    return any_layer(layer);
  }
  if (const auto compression = archive_suffix(layer.media_type)) {
    return archive(*compression);
  }
  if (const std::string_view path = path_annotation(layer); !path.empty()) {
    return named_file(layer, std::string(path));
  }
  const std::string_view type = std::string_view(layer.media_type).substr(kDockerPrefix.size());
  for (const NamedType& known : kTypes) {
    if (type == known.type) {
      return file(names.of_shard(layer, known.stem, known.ending));
    }
  }
  return refuse(layer, "has no path and is not of a type that has a name by itself");
}

Result<LayerRole> ollama_layer(const Descriptor& layer, Names& names) {
  constexpr std::array<NamedType, 8> kTypes{{{"model", "model", ".gguf"},
                                             {"projector", "projector", ".gguf"},
                                             {"adapter", "adapter", ".gguf"},
                                             {"template", "template", ""},
                                             {"system", "system", ""},
                                             {"params", "params", ".json"},
                                             {"messages", "messages", ".json"},
                                             {"license", "license", ""}}};
  if (!layer.media_type.starts_with(kOllamaPrefix)) {
    return any_layer(layer);
  }
  const std::string_view type = std::string_view(layer.media_type).substr(kOllamaPrefix.size());
  for (const NamedType& known : kTypes) {
    if (type == known.type) {
      return file(names.of_one(layer, known.stem, known.ending));
    }
  }
  return refuse(layer, "is of a type that is not known here");
}

Result<LayerRole> role_of(const Descriptor& layer, Layout layout, Names& names) {
  switch (layout) {
    case Layout::kOrmb:
    case Layout::kKitOps:
      return archive_only(layer);
    case Layout::kDocker:
      return docker_layer(layer, names);
    case Layout::kOllama:
      return ollama_layer(layer, names);
    case Layout::kModelPack:
    case Layout::kFiles:
      break;
  }
  return any_layer(layer);
}

}  // namespace

Layout layout_of(const Manifest& manifest) {
  const std::string_view config = manifest.config.media_type;
  if (is_model_pack(manifest.artifact_type) || is_model_pack(config)) {
    return Layout::kModelPack;
  }
  if (config == kOrmbConfig) {
    return Layout::kOrmb;
  }
  if (config.starts_with(kKitPrefix)) {
    return Layout::kKitOps;
  }
  if (config.starts_with(kDockerPrefix)) {
    return Layout::kDocker;
  }
  const bool ollama =
      std::any_of(manifest.layers.begin(), manifest.layers.end(), [](const Descriptor& layer) {
        return layer.media_type.starts_with(kOllamaPrefix);
      });
  return ollama ? Layout::kOllama : Layout::kFiles;
}

Result<std::vector<LayerRole>> layer_roles(const Manifest& manifest, Layout layout) {
  Names names(manifest);
  std::vector<LayerRole> roles;
  roles.reserve(manifest.layers.size());
  for (const Descriptor& layer : manifest.layers) {
    roles.push_back(TRY(role_of(layer, layout, names)));
  }
  return roles;
}

}  // namespace weighbridge::pack
