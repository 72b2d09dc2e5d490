#include "pack/layer_kind.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/text.h"

namespace weighbridge::pack {
namespace {

constexpr std::array<std::string_view, 8> kDocNames{"license",
                                                    "licence",
                                                    "notice",
                                                    "copying",
                                                    "readme",
                                                    "changelog",
                                                    "use_policy",
                                                    "weighbridge.seal"};
constexpr std::array<std::string_view, 8> kConfigNames{"tokenizer.model",
                                                       "spiece.model",
                                                       "sentencepiece*.model",
                                                       "tiktoken.model",
                                                       "vocab.txt",
                                                       "merges.txt",
                                                       "added_tokens.txt",
                                                       "config.json.*"};
constexpr std::array<std::string_view, 17> kConfigEndings{"json",
                                                          "jsonl",
                                                          "yaml",
                                                          "yml",
                                                          "toml",
                                                          "ini",
                                                          "cfg",
                                                          "conf",
                                                          "xml",
                                                          "jinja",
                                                          "tiktoken",
                                                          "vocab",
                                                          "bpe",
                                                          "properties",
                                                          "modelcard",
                                                          "config",
                                                          "prototxt"};
constexpr std::array<std::string_view, 34> kWeightEndings{
    "safetensors", "gguf",   "ggml",    "bin",       "pt",      "pth",    "pt2",
    "pte",         "ckpt",   "onnx",    "onnx_data", "h5",      "hdf5",   "keras",
    "pb",          "tflite", "msgpack", "npz",       "npy",     "pkl",    "pickle",
    "joblib",      "engine", "plan",    "mlmodel",   "tensors", "model",  "params",
    "caffemodel",  "pmml",   "dduf",    "llamafile", "index",   "weights"};
constexpr std::array<std::string_view, 2> kWeightNames{"*.data-[0-9]*-of-[0-9]*", "*.gguf.*"};
constexpr std::array<std::string_view, 28> kCodeEndings{
    "py",    "ipynb", "sh",    "c",     "h",  "cc",  "cpp",   "cu",  "cuh", "hpp",
    "go",    "rs",    "java",  "js",    "ts", "jl",  "r",     "lua", "rb",  "pl",
    "swift", "kt",    "scala", "patch", "so", "whl", "cmake", "f90"};
constexpr std::array<std::string_view, 2> kCodeNames{"dockerfile", "makefile"};
constexpr std::array<std::string_view, 5> kDatasetEndings{
    "parquet", "arrow", "csv", "tsv", "tfrecord"};
constexpr std::array<std::string_view, 17> kDocEndings{"md",
                                                       "txt",
                                                       "rst",
                                                       "html",
                                                       "pdf",
                                                       "tex",
                                                       "bib",
                                                       "png",
                                                       "jpg",
                                                       "jpeg",
                                                       "gif",
                                                       "svg",
                                                       "webp",
                                                       "mp4",
                                                       "wav",
                                                       "mp3",
                                                       "flac"};

template <std::size_t kCount>
bool any_of(const std::array<std::string_view, kCount>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

template <std::size_t kCount>
bool any_matches(const std::array<std::string_view, kCount>& globs, std::string_view name) {
  return std::any_of(globs.begin(), globs.end(), [&](std::string_view glob) {
    return base::glob_match(glob, name);
  });
}

// The last part of the path, in lower case.
std::string last_part(std::string_view path) {
  return base::to_lower(path.substr(path.rfind('/') + 1));
}

std::string_view ending_of(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(dot + 1);
}

std::optional<LayerKind> kind_by_name(std::string_view name) {
  const std::string_view ending = ending_of(name);
  const bool names_doc = std::any_of(kDocNames.begin(), kDocNames.end(), [&](std::string_view doc) {
    return name.starts_with(doc);
  });
  if (names_doc) {
    return LayerKind::kDoc;
  }
  if (any_matches(kConfigNames, name) || any_of(kConfigEndings, ending)) {
    return LayerKind::kWeightConfig;
  }
  if (any_of(kWeightEndings, ending) || any_matches(kWeightNames, name)) {
    return LayerKind::kWeight;
  }
  if (any_of(kCodeEndings, ending) || any_of(kCodeNames, name)) {
    return LayerKind::kCode;
  }
  if (any_of(kDatasetEndings, ending)) {
    return LayerKind::kDataset;
  }
  return any_of(kDocEndings, ending) ? std::optional(LayerKind::kDoc) : std::nullopt;
}

constexpr std::array<std::pair<std::string_view, std::string_view>, 20> kFormats{{
    {"safetensors", "safetensors"},
    {"gguf", "gguf"},
    {"ggml", "ggml"},
    {"onnx", "onnx"},
    {"onnx_data", "onnx"},
    {"bin", "pt"},
    {"pt", "pt"},
    {"pth", "pt"},
    {"pt2", "pt"},
    {"ckpt", "pt"},
    {"pte", "executorch"},
    {"h5", "h5"},
    {"hdf5", "h5"},
    {"keras", "keras"},
    {"pb", "tensorflow"},
    {"tflite", "tflite"},
    {"msgpack", "flax"},
    {"tensors", "tensorizer"},
    {"engine", "tensorrt"},
    {"plan", "tensorrt"},
}};

}  // namespace

std::string_view name_of(LayerKind kind) {
  switch (kind) {
    case LayerKind::kWeight:
      return "weight";
    case LayerKind::kWeightConfig:
      return "weight.config";
    case LayerKind::kCode:
      return "code";
    case LayerKind::kDoc:
      return "doc";
    case LayerKind::kDataset:
      break;
  }
  return "dataset";
}

std::optional<LayerKind> layer_kind_named(std::string_view name) {
  for (const LayerKind kind : {LayerKind::kWeight,
                               LayerKind::kWeightConfig,
                               LayerKind::kCode,
                               LayerKind::kDoc,
                               LayerKind::kDataset}) {
    if (name == name_of(kind)) {
      return kind;
    }
  }
  return std::nullopt;
}

KindOfFile kind_of(std::string_view path, std::uint64_t file_bytes, const KindRules& stated) {
  for (const auto& [glob, kind] : stated) {
    if (base::glob_match(glob, path)) {
      return {kind, false};
    }
  }
  if (const auto kind = kind_by_name(last_part(path))) {
    return {*kind, false};
  }
  return {file_bytes >= kGuessedWeightBytes ? LayerKind::kWeight : LayerKind::kCode, true};
}

std::string_view weight_format(std::string_view path) {
  const std::string name = last_part(path);
  const std::string_view ending = ending_of(name);
  for (const auto& [known, format] : kFormats) {
    if (ending == known) {
      return format;
    }
  }
  return {};
}

}  // namespace weighbridge::pack
