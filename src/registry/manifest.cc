#include "registry/manifest.h"

#include <limits>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "base/json_writer.h"
#include "base/text.h"

namespace weighbridge::registry {
namespace {

using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;

constexpr std::uint64_t kLargestSize = std::numeric_limits<std::int64_t>::max();
constexpr std::string_view kSchemaOnePrefix = "application/vnd.docker.distribution.manifest.v1+";

Error corrupt(std::string_view place, std::string_view why) {
  return {Code::kCorrupt, fmt::format("{}: {}", base::printable(place), why)};
}

// A value of another type than it should have is the sender's fault here, not the caller's.
template <typename T>
Result<T> in_place(Result<T> value, std::string_view place) {
  if (value.ok() || value.error().code() != Code::kInvalid) {
    return value;
  }
  return std::move(value).error().with_code(Code::kCorrupt).context(base::printable(place));
}

Result<std::string> text_of(const JsonValue& value, std::string_view place) {
  return std::string(TRY(in_place(value.as_string(), place)));
}

// Two readers may believe different ones of two members, so there must not be two.
template <typename T>
Result<void> fill(std::optional<T>& member, Result<T> value, std::string_view place) {
  if (member) {
    return corrupt(place, "there twice");
  }
  member = TRY(std::move(value));
  return {};
}

Result<Annotations> read_annotations(const JsonValue& value, const std::string& place) {
  Annotations annotations;
  if (value.is_null()) {
    return annotations;
  }
  TRY(in_place(value.each_member([&](std::string_view key, const JsonValue& text) -> Result<void> {
    const std::string where = fmt::format("{}.{}", place, base::printable(key, 128));
    if (!annotations.emplace(std::string(key), TRY(text_of(text, where))).second) {
      return corrupt(where, "there twice");
    }
    return {};
  }),
               place));
  return annotations;
}

Result<Digest> read_digest(const JsonValue& value, const std::string& place) {
  return in_place(Digest::parse(TRY(in_place(value.as_string(), place))), place);
}

Result<std::uint64_t> read_size(const JsonValue& value, const std::string& place) {
  const std::uint64_t size = TRY(in_place(value.as_u64(), place));
  if (size > kLargestSize) {
    return corrupt(place, "larger than any file");
  }
  return size;
}

Result<Descriptor> read_descriptor(const JsonValue& value, const std::string& place) {
  std::optional<std::string> media_type;
  std::optional<Digest> digest;
  std::optional<std::uint64_t> size;
  std::optional<std::string> artifact_type;
  std::optional<Annotations> annotations;
  const auto visit = [&](std::string_view key, const JsonValue& member) -> Result<void> {
    const std::string where = fmt::format("{}.{}", place, base::printable(key, 64));
    if (key == "mediaType") {
      return fill(media_type, text_of(member, where), where);
    }
    if (key == "digest") {
      return fill(digest, read_digest(member, where), where);
    }
    if (key == "size") {
      return fill(size, read_size(member, where), where);
    }
    if (key == "artifactType") {
      return fill(artifact_type, text_of(member, where), where);
    }
    if (key == "annotations") {
      return fill(annotations, read_annotations(member, where), where);
    }
    return {};
  };
  TRY(in_place(value.each_member(visit), place));
  if (!media_type || !digest || !size) {
    return corrupt(place, "mediaType, digest or size is missing");
  }
  return Descriptor{std::move(*media_type),
                    std::move(*digest),
                    *size,
                    artifact_type.value_or(""),
                    annotations ? std::move(*annotations) : Annotations{}};
}

// Writers in Go print a list without entries as null.
Result<std::vector<Descriptor>> read_descriptors(const JsonValue& value, const std::string& place) {
  std::vector<Descriptor> entries;
  if (value.is_null()) {
    return entries;
  }
  TRY(in_place(value.each_element([&](const JsonValue& element) -> Result<void> {
    if (entries.size() == kMaxEntries) {
      return Error(Code::kExhausted,
                   fmt::format("{} has more than {} entries", place, kMaxEntries));
    }
    entries.push_back(TRY(read_descriptor(element, fmt::format("{}[{}]", place, entries.size()))));
    return {};
  }),
               place));
  return entries;
}

// What stands in the text, of a manifest or an index alike.
struct Members {
  std::optional<std::uint64_t> schema_version;
  std::optional<std::string> media_type;
  std::optional<std::string> artifact_type;
  std::optional<Descriptor> config;
  std::optional<std::vector<Descriptor>> layers;
  std::optional<std::vector<Descriptor>> manifests;
  std::optional<Descriptor> subject;
  std::optional<Annotations> annotations;
};

Result<void> read_member(Members& members, std::string_view key, const JsonValue& value) {
  const std::string place(base::printable(key, 64));
  if (key == "schemaVersion") {
    return fill(members.schema_version, in_place(value.as_u64(), place), place);
  }
  if (key == "mediaType") {
    return fill(members.media_type, text_of(value, place), place);
  }
  if (key == "artifactType") {
    return fill(members.artifact_type, text_of(value, place), place);
  }
  if (key == "config") {
    return fill(members.config, read_descriptor(value, place), place);
  }
  if (key == "layers") {
    return fill(members.layers, read_descriptors(value, place), place);
  }
  if (key == "manifests") {
    return fill(members.manifests, read_descriptors(value, place), place);
  }
  if (key == "subject" && !value.is_null()) {
    return fill(members.subject, read_descriptor(value, place), place);
  }
  if (key == "annotations") {
    return fill(members.annotations, read_annotations(value, place), place);
  }
  return {};
}

bool is_manifest_type(std::string_view type) {
  return type == kManifestType || type == kDockerManifestType;
}

bool is_index_type(std::string_view type) {
  return type == kIndexType || type == kDockerIndexType;
}

Error unsupported_type(std::string_view type) {
  if (type.starts_with(kSchemaOnePrefix)) {
    return Error(Code::kUnsupported, "a manifest of Docker's schema 1, which names no sizes")
        .with_hint("Push it again with a current tool.");
  }
  return {Code::kUnsupported, fmt::format("a manifest of type '{}'", base::printable(type))};
}

// The type without its parameters; empty where it says only that it is JSON.
std::string_view bare_type(std::string_view type) {
  type = base::trim(type.substr(0, type.find(';')));
  const bool says_nothing =
      type == "application/json" || type == "text/plain" || type == "application/octet-stream";
  return says_nothing ? std::string_view() : type;
}

Result<std::string> decide_type(const Members& members, std::string_view outside) {
  const std::string inside = members.media_type.value_or("");
  if (!inside.empty() && !outside.empty() && inside != outside) {
    return corrupt(
        "mediaType",
        fmt::format(
            "'{}' inside, '{}' outside", base::printable(inside), base::printable(outside)));
  }
  if (members.layers && members.manifests) {
    return Error(Code::kCorrupt, "both layers and manifests: neither manifest nor index");
  }
  std::string type = inside.empty() ? std::string(outside) : inside;
  if (type.empty()) {
    type = members.manifests ? kIndexType : kManifestType;
  }
  if (!is_manifest_type(type) && !is_index_type(type)) {
    return unsupported_type(type);
  }
  if (is_manifest_type(type) ? members.manifests.has_value() : members.layers.has_value()) {
    return corrupt("mediaType", "contradicted by the members");
  }
  return type;
}

void write_annotations(base::JsonWriter& json, const Annotations& annotations) {
  if (annotations.empty()) {
    return;
  }
  json.key("annotations");
  json.begin_object();
  for (const auto& [key, value] : annotations) {
    json.key(key);
    json.text(value);
  }
  json.end_object();
}

void write_descriptor(base::JsonWriter& json, const Descriptor& descriptor) {
  json.begin_object();
  json.key("mediaType");
  json.text(descriptor.media_type);
  json.key("digest");
  json.text(descriptor.digest.text());
  json.key("size");
  json.number(descriptor.size);
  write_annotations(json, descriptor.annotations);
  if (!descriptor.artifact_type.empty()) {
    json.key("artifactType");
    json.text(descriptor.artifact_type);
  }
  json.end_object();
}

void write_descriptors(base::JsonWriter& json,
                       std::string_view name,
                       const std::vector<Descriptor>& descriptors) {
  json.key(name);
  json.begin_array();
  for (const Descriptor& descriptor : descriptors) {
    write_descriptor(json, descriptor);
  }
  json.end_array();
}

void begin(base::JsonWriter& json, std::string_view media_type, std::string_view artifact_type) {
  json.begin_object();
  json.key("schemaVersion");
  json.number(2);
  json.key("mediaType");
  json.text(media_type);
  if (!artifact_type.empty()) {
    json.key("artifactType");
    json.text(artifact_type);
  }
}

void end(base::JsonWriter& json,
         const std::optional<Descriptor>& subject,
         const Annotations& annotations) {
  if (subject) {
    json.key("subject");
    write_descriptor(json, *subject);
  }
  write_annotations(json, annotations);
  json.end_object();
}

}  // namespace

Result<ManifestOrIndex> parse_manifest_or_index(std::string_view bytes,
                                                std::string_view media_type) {
  if (bytes.size() > kMaxManifestBytes) {
    return Error(
        Code::kExhausted,
        fmt::format("a manifest of {} bytes; the limit is {}", bytes.size(), kMaxManifestBytes));
  }
  const std::string_view outside = bare_type(media_type);
  if (!outside.empty() && !is_manifest_type(outside) && !is_index_type(outside)) {
    return unsupported_type(outside);
  }
  const auto document = TRY(base::JsonDocument::parse(bytes, kMaxManifestDepth));
  Members members;
  TRY(in_place(document.root().each_member([&](std::string_view key, const JsonValue& value) {
    return read_member(members, key, value);
  }),
               "the manifest"));
  if (members.schema_version == 1) {
    return unsupported_type(kSchemaOnePrefix);
  }
  if (members.schema_version != 2) {
    return corrupt("schemaVersion", "not 2");
  }
  std::string type = TRY(decide_type(members, outside));
  if (is_index_type(type)) {
    return ManifestOrIndex(Index{std::move(type),
                                 members.artifact_type.value_or(""),
                                 std::move(members.manifests).value_or(std::vector<Descriptor>{}),
                                 std::move(members.subject),
                                 std::move(members.annotations).value_or(Annotations{})});
  }
  if (!members.config) {
    return corrupt("config", "missing");
  }
  return ManifestOrIndex(Manifest{std::move(type),
                                  members.artifact_type.value_or(""),
                                  std::move(*members.config),
                                  std::move(members.layers).value_or(std::vector<Descriptor>{}),
                                  std::move(members.subject),
                                  std::move(members.annotations).value_or(Annotations{})});
}

Result<Manifest> parse_manifest(std::string_view bytes, std::string_view media_type) {
  auto parsed = TRY(parse_manifest_or_index(bytes, media_type));
  if (auto* manifest = std::get_if<Manifest>(&parsed)) {
    return std::move(*manifest);
  }
  return Error(Code::kUnsupported, "an index of several manifests, where one is needed")
      .with_hint("Name one of its manifests by digest.");
}

std::string write_manifest(const Manifest& manifest) {
  std::string text;
  base::JsonWriter json(text);
  begin(json, manifest.media_type, manifest.artifact_type);
  json.key("config");
  write_descriptor(json, manifest.config);
  write_descriptors(json, "layers", manifest.layers);
  end(json, manifest.subject, manifest.annotations);
  return text;
}

std::string write_index(const Index& index) {
  std::string text;
  base::JsonWriter json(text);
  begin(json, index.media_type, index.artifact_type);
  write_descriptors(json, "manifests", index.manifests);
  end(json, index.subject, index.annotations);
  return text;
}

Descriptor describe(std::string_view media_type, std::string_view bytes) {
  return {std::string(media_type), Digest::of(bytes), bytes.size(), {}, {}};
}

Descriptor empty_descriptor() {
  return describe(kEmptyType, kEmptyJson);
}

Result<std::uint64_t> total_bytes(const Manifest& manifest) {
  std::uint64_t total = manifest.config.size;
  for (const Descriptor& layer : manifest.layers) {
    const auto sum = base::checked_add(total, layer.size);
    if (!sum || *sum > kLargestSize) {
      return Error(Code::kCorrupt, "the sizes of the layers make more than any disk holds");
    }
    total = *sum;
  }
  return total;
}

}  // namespace weighbridge::registry
