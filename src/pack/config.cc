#include "pack/config.h"

#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/json_writer.h"
#include "pack/media_types.h"

namespace weighbridge::pack {
namespace {

using base::JsonWriter;

// Members with nothing in them are left out.
void member(JsonWriter& json, std::string_view key, std::string_view value) {
  if (!value.empty()) {
    json.key(key);
    json.text(value);
  }
}

void member(JsonWriter& json, std::string_view key, const std::vector<std::string>& values) {
  if (values.empty()) {
    return;
  }
  json.key(key);
  json.begin_array();
  for (const std::string& value : values) {
    json.text(value);
  }
  json.end_array();
}

void member(JsonWriter& json, std::string_view key, std::optional<bool> value) {
  if (value) {
    json.key(key);
    json.boolean(*value);
  }
}

void write_descriptor(JsonWriter& json, const Description& description) {
  json.key("descriptor");
  json.begin_object();
  member(json, "createdAt", description.created);
  member(json, "authors", description.authors);
  member(json, "family", description.family);
  member(json, "name", description.name);
  member(json, "docURL", description.doc_url);
  member(json, "sourceURL", description.source_url);
  member(json, "datasetsURL", description.datasets_url);
  member(json, "version", description.version);
  member(json, "revision", description.revision);
  member(json, "vendor", description.vendor);
  member(json, "licenses", description.licenses);
  member(json, "title", description.title);
  member(json, "description", description.description);
  json.end_object();
}

void write_capabilities(JsonWriter& json, const Capabilities& capabilities) {
  if (capabilities.empty()) {
    return;
  }
  json.key("capabilities");
  json.begin_object();
  member(json, "inputTypes", capabilities.input_types);
  member(json, "outputTypes", capabilities.output_types);
  member(json, "knowledgeCutoff", capabilities.knowledge_cutoff);
  member(json, "reasoning", capabilities.reasoning);
  member(json, "toolUsage", capabilities.tool_usage);
  member(json, "reward", capabilities.reward);
  member(json, "languages", capabilities.languages);
  json.end_object();
}

void write_config(JsonWriter& json, const Description& description) {
  json.key("config");
  json.begin_object();
  member(json, "architecture", description.architecture);
  member(json, "format", description.format);
  member(json, "paramSize", description.param_size);
  member(json, "precision", description.precision);
  member(json, "quantization", description.quantization);
  write_capabilities(json, description.capabilities);
  json.end_object();
}

void write_named(JsonWriter& json, const std::vector<NamedValue>& values) {
  json.begin_array();
  for (const NamedValue& value : values) {
    json.begin_object();
    json.key("name");
    json.text(value.name);
    json.key("value");
    json.text(value.value);
    json.end_object();
  }
  json.end_array();
}

std::string metrics_text(const Description& description) {
  std::string text;
  JsonWriter json(text);
  json.begin_object();
  for (const auto& [group, values] : description.metrics) {
    json.key(group);
    write_named(json, values);
  }
  json.end_object();
  return text;
}

std::string named_text(const std::vector<NamedValue>& values) {
  std::string text;
  JsonWriter json(text);
  write_named(json, values);
  return text;
}

std::string list_text(const std::vector<std::string>& values) {
  std::string text;
  JsonWriter json(text);
  json.begin_array();
  for (const std::string& value : values) {
    json.text(value);
  }
  json.end_array();
  return text;
}

void write_tensors(JsonWriter& json,
                   std::string_view key,
                   const std::vector<SignatureTensor>& tensors) {
  json.key(key);
  json.begin_array();
  for (const SignatureTensor& tensor : tensors) {
    json.begin_object();
    member(json, "name", tensor.name);
    member(json, "size", tensor.size);
    member(json, "dType", tensor.dtype);
    member(json, "opType", tensor.op_type);
    member(json, "values", tensor.values);
    json.end_object();
  }
  json.end_array();
}

std::string signature_text(const Signature& signature) {
  std::string text;
  JsonWriter json(text);
  json.begin_object();
  write_tensors(json, "inputs", signature.inputs);
  write_tensors(json, "outputs", signature.outputs);
  json.key("layers");
  json.begin_object();
  for (const auto& [name, count] : signature.layers) {
    json.key(name);
    json.number(count);
  }
  json.end_object();
  json.end_object();
  return text;
}

bool empty(const Signature& signature) {
  return signature.inputs.empty() && signature.outputs.empty() && signature.layers.empty();
}

}  // namespace

std::string config_text(const Description& description,
                        std::span<const registry::Descriptor> layers) {
  std::string text;
  JsonWriter json(text);
  json.begin_object();
  write_descriptor(json, description);
  write_config(json, description);
  json.key("modelfs");
  json.begin_object();
  json.key("type");
  json.text("layers");
  json.key("diffIds");
  json.begin_array();
  for (const registry::Descriptor& layer : layers) {
    json.text(layer.digest.text());
  }
  json.end_array();
  json.end_object();
  json.end_object();
  return text;
}

registry::Annotations manifest_annotations(const Description& description) {
  registry::Annotations annotations;
  for (const auto& [key, value] : description.labels) {
    annotations[key] = value;
  }
  const auto ours = [&](std::string_view key, std::string value) {
    if (!value.empty()) {
      annotations[fmt::format("{}{}", kOurPrefix, key)] = std::move(value);
    }
  };
  const auto& metrics = description.metrics;
  const auto& parameters = description.hyper_parameters;
  const bool plain = empty(description.signature);
  ours("framework", description.framework);
  ours("gpu", description.gpu_type);
  ours("tags+json", description.tags.empty() ? "" : list_text(description.tags));
  ours("metrics+json", metrics.empty() ? "" : metrics_text(description));
  ours("hyperparameters+json", parameters.empty() ? "" : named_text(parameters));
  ours("signature+json", plain ? "" : signature_text(description.signature));
  ours("training.git.repository", description.training.repository);
  ours("training.git.revision", description.training.revision);
  ours("dataset.git.repository", description.dataset.repository);
  ours("dataset.git.revision", description.dataset.revision);
  return annotations;
}

}  // namespace weighbridge::pack
