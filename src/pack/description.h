#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "pack/layer_kind.h"

namespace weighbridge::pack {

inline constexpr std::string_view kModelFileName = "weighbridge.yaml";
inline constexpr std::string_view kOrmbfileName = "ormbfile.yaml";
inline constexpr std::uint64_t kMaxModelFileBytes = 1024 * 1024;

struct NamedValue {
  std::string name;
  std::string value;
};

// An input or output of a model, in ormb's words.
struct SignatureTensor {
  std::string name;
  std::vector<std::string> size;  // decimal, may be negative: any
  std::string dtype;
  std::string op_type;
  std::vector<std::string> values;
};

struct Signature {
  std::vector<SignatureTensor> inputs;
  std::vector<SignatureTensor> outputs;
  std::map<std::string, std::uint64_t> layers;  // operation and how often it stands there
};

struct GitRevision {
  std::string repository;
  std::string revision;
};

struct Capabilities {
  std::vector<std::string> input_types;
  std::vector<std::string> output_types;
  std::string knowledge_cutoff;
  std::optional<bool> reasoning;
  std::optional<bool> tool_usage;
  std::optional<bool> reward;
  std::vector<std::string> languages;

  bool empty() const;
};

// What is said of a model in `weighbridge.yaml`, or found out about it. What is empty is not known.
struct Description {
  std::string created;  // RFC 3339
  std::vector<std::string> authors;
  std::string family;
  std::string name;
  std::string doc_url;
  std::string source_url;
  std::vector<std::string> datasets_url;
  std::string version;
  std::string revision;
  std::string vendor;
  std::vector<std::string> licenses;
  std::string title;
  std::string description;

  std::string architecture;
  std::string format;
  std::string param_size;
  std::string precision;
  std::string quantization;
  Capabilities capabilities;

  std::string framework;
  std::string gpu_type;
  std::vector<std::string> tags;
  std::map<std::string, std::string> labels;
  std::map<std::string, std::vector<NamedValue>> metrics;
  std::vector<NamedValue> hyper_parameters;
  Signature signature;
  GitRevision training;
  GitRevision dataset;
  KindRules kinds;
};

// Reads `weighbridge.yaml` strictly. kInvalid, with the line: what YAML or the page in docs/formats
// does not allow. kExhausted: longer than kMaxModelFileBytes, or nested too deeply.
base::Result<Description> parse_model_file(std::string_view text);

// The same of ormb's `ormbfile.yaml`, whose keys are among ours; its list of files says nothing
// new.
base::Result<Description> parse_ormbfile(std::string_view text);

// A `weighbridge.yaml` that says this of a model and leaves the rest as comments to fill in.
// parse_model_file() of it gives the same Description, but for what only annotations hold.
std::string write_model_file(const Description& description);

// What was stated, and where nothing was, what was found.
Description merge(Description stated, const Description& found);

}  // namespace weighbridge::pack
