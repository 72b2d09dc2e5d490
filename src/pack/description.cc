#include "pack/description.h"

#include <algorithm>
#include <array>
#include <functional>
#include <span>

#include <fmt/format.h>

#include "base/json_writer.h"
#include "base/text.h"
#include "base/units.h"
#include "pack/media_types.h"
#include "pack/yaml.h"

namespace weighbridge::pack {
namespace {

using base::Code;
using base::Error;
using base::Result;
using Kind = YamlValue::Kind;
using Take = std::function<Result<void>(const YamlValue&)>;
using Fields = std::map<std::string_view, Take>;

Error at(const YamlValue& value, std::string_view why) {
  return {Code::kInvalid, fmt::format("line {}: {}", value.line, why)};
}

Result<std::string> text_of(const YamlValue& value) {
  if (value.kind != Kind::kText || value.text.empty()) {
    return at(value, fmt::format("a text is wanted here, not {}", value.kind_name()));
  }
  return value.text;
}

Take text(std::string& into) {
  return [&into](const YamlValue& value) -> Result<void> {
    into = TRY(text_of(value));
    return {};
  };
}

Take text_among(std::string& into, bool (*allowed)(std::string_view), std::string_view wanted) {
  return [=, &into](const YamlValue& value) -> Result<void> {
    into = TRY(text_of(value));
    return allowed(into) ? Result<void>()
                         : at(value, fmt::format("'{}' is not {}", base::printable(into), wanted));
  };
}

Take flag(std::optional<bool>& into) {
  return [&into](const YamlValue& value) -> Result<void> {
    const std::string word = TRY(text_of(value));
    if (word != "true" && word != "false") {
      return at(value, "true or false is wanted here");
    }
    into = word == "true";
    return {};
  };
}

Result<void> each(const YamlValue& value, const Take& take) {
  if (value.kind != Kind::kList) {
    return at(value, fmt::format("a list is wanted here, not {}", value.kind_name()));
  }
  for (const YamlValue& element : value.list) {
    TRY(take(element));
  }
  return {};
}

// `take(key, value)` for each member.
template <typename TakeMember>
Result<void> each_member(const YamlValue& value, const TakeMember& take) {
  if (value.kind != Kind::kMap) {
    return at(value, fmt::format("a map is wanted here, not {}", value.kind_name()));
  }
  for (std::size_t i = 0; i < value.keys.size(); ++i) {
    TRY(take(value.keys[i], value.list[i]));
  }
  return {};
}

Result<void> read_fields(const YamlValue& value, const Fields& fields) {
  return each_member(value, [&](const std::string& key, const YamlValue& member) -> Result<void> {
    const auto field = fields.find(key);
    if (field == fields.end()) {
      return at(member, fmt::format("'{}' is not known here", base::printable(key)));
    }
    return field->second(member);
  });
}

Take texts(std::vector<std::string>& into) {
  return [&into](const YamlValue& value) {
    return each(value, [&into](const YamlValue& element) -> Result<void> {
      into.push_back(TRY(text_of(element)));
      return {};
    });
  };
}

Take texts_among(std::vector<std::string>& into,
                 bool (*allowed)(std::string_view),
                 std::string_view wanted) {
  return [=, &into](const YamlValue& value) {
    return each(value, [=, &into](const YamlValue& element) -> Result<void> {
      into.push_back(TRY(text_of(element)));
      return allowed(into.back())
                 ? Result<void>()
                 : at(element, fmt::format("'{}' is not {}", base::printable(into.back()), wanted));
    });
  };
}

Take named_values(std::vector<NamedValue>& into) {
  return [&into](const YamlValue& value) {
    return each(value, [&into](const YamlValue& element) {
      NamedValue& named = into.emplace_back();
      return read_fields(element, {{"name", text(named.name)}, {"value", text(named.value)}});
    });
  };
}

// digits, or with a sign in front
bool is_number(std::string_view word) {
  return base::parse_decimal(word.starts_with('-') ? word.substr(1) : word).has_value();
}

Take signature_tensors(std::vector<SignatureTensor>& into) {
  return [&into](const YamlValue& value) {
    return each(value, [&into](const YamlValue& element) {
      SignatureTensor& tensor = into.emplace_back();
      return read_fields(element,
                         {{"name", text(tensor.name)},
                          {"size", texts_among(tensor.size, is_number, "a number")},
                          {"dType", text(tensor.dtype)},
                          {"opType", text(tensor.op_type)},
                          {"values", texts(tensor.values)}});
    });
  };
}

Take layer_counts(std::map<std::string, std::uint64_t>& into) {
  return [&into](const YamlValue& value) {
    return each_member(value, [&](const std::string& key, const YamlValue& count) -> Result<void> {
      const auto number = base::parse_decimal(TRY(text_of(count)));
      if (!number) {
        return at(count, "a number is wanted here");
      }
      into[key] = *number;
      return {};
    });
  };
}

Take git(GitRevision& into) {
  return [&into](const YamlValue& value) {
    const Take revision = [&into](const YamlValue& inner) {
      return read_fields(
          inner, {{"repository", text(into.repository)}, {"revision", text(into.revision)}});
    };
    return read_fields(value, {{"git", revision}});
  };
}

Take labels(std::map<std::string, std::string>& into) {
  return [&into](const YamlValue& value) {
    return each_member(value, [&](const std::string& key, const YamlValue& label) -> Result<void> {
      if (key.empty() || key.starts_with(kOurPrefix) || key.starts_with("org.cncf.model.")) {
        return at(label, fmt::format("'{}' is no label of your own", base::printable(key)));
      }
      into[key] = TRY(text_of(label));
      return {};
    });
  };
}

Take kinds(KindRules& into) {
  return [&into](const YamlValue& value) {
    return each_member(value, [&](const std::string& glob, const YamlValue& kind) -> Result<void> {
      const auto known = layer_kind_named(TRY(text_of(kind)));
      if (!known) {
        return at(kind, "weight, weight.config, code, doc or dataset is wanted here");
      }
      into.emplace_back(glob, *known);
      return {};
    });
  };
}

Take metrics(std::map<std::string, std::vector<NamedValue>>& into) {
  return [&into](const YamlValue& value) {
    return each_member(value, [&](const std::string& group, const YamlValue& values) {
      return named_values(into[group])(values);
    });
  };
}

bool is_language(std::string_view word) {
  return word.size() == 2 &&
         std::all_of(word.begin(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

bool is_modality(std::string_view word) {
  constexpr std::array<std::string_view, 6> kModalities{
      "text", "image", "audio", "video", "embedding", "other"};
  return std::find(kModalities.begin(), kModalities.end(), word) != kModalities.end();
}

// 2026-11-22T12:30:00Z, with a fraction or an offset where there is one (RFC 3339, 5.6).
bool is_date_time(std::string_view word) {
  constexpr std::string_view kShape = "dddd-dd-ddTdd:dd:dd";
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (word.size() <= kShape.size()) {
    return false;
  }
  for (std::size_t i = 0; i < kShape.size(); ++i) {
    if (kShape[i] == 'd' ? !is_digit(word[i]) : word[i] != kShape[i]) {
      return false;
    }
  }
  std::string_view rest = word.substr(kShape.size());
  if (rest.starts_with('.')) {
    const auto end = std::find_if_not(rest.begin() + 1, rest.end(), is_digit);
    if (end == rest.begin() + 1) {
      return false;
    }
    rest.remove_prefix(static_cast<std::size_t>(end - rest.begin()));
  }
  return rest == "Z" || ((rest.starts_with('+') || rest.starts_with('-')) && rest.size() == 6 &&
                         is_digit(rest[1]) && is_digit(rest[2]) && rest[3] == ':' &&
                         is_digit(rest[4]) && is_digit(rest[5]));
}

Take capabilities(Capabilities& into) {
  return [&into](const YamlValue& value) {
    constexpr std::string_view kKinds = "text, image, audio, video, embedding or other";
    return read_fields(
        value,
        {{"inputTypes", texts_among(into.input_types, is_modality, kKinds)},
         {"outputTypes", texts_among(into.output_types, is_modality, kKinds)},
         {"knowledgeCutoff",
          text_among(into.knowledge_cutoff, is_date_time, "a time as RFC 3339 writes it")},
         {"reasoning", flag(into.reasoning)},
         {"toolUsage", flag(into.tool_usage)},
         {"reward", flag(into.reward)},
         {"languages", texts_among(into.languages, is_language, "a language in two letters")}});
  };
}

Take signature(Signature& into) {
  return [&into](const YamlValue& value) {
    return read_fields(value,
                       {{"inputs", signature_tensors(into.inputs)},
                        {"outputs", signature_tensors(into.outputs)},
                        {"layers", layer_counts(into.layers)}});
  };
}

Fields fields_of(Description& into) {
  return {
      {"created", text_among(into.created, is_date_time, "a time as RFC 3339 writes it")},
      {"author",
       [&into](const YamlValue& value) -> Result<void> {
         into.authors.push_back(TRY(text_of(value)));
         return {};
       }},
      {"authors", texts(into.authors)},
      {"family", text(into.family)},
      {"name", text(into.name)},
      {"docURL", text(into.doc_url)},
      {"sourceURL", text(into.source_url)},
      {"datasetsURL", texts(into.datasets_url)},
      {"version", text(into.version)},
      {"revision", text(into.revision)},
      {"vendor", text(into.vendor)},
      {"licenses", texts(into.licenses)},
      {"title", text(into.title)},
      {"description", text(into.description)},
      {"architecture", text(into.architecture)},
      {"format", text(into.format)},
      {"paramSize", text(into.param_size)},
      {"precision", text(into.precision)},
      {"quantization", text(into.quantization)},
      {"capabilities", capabilities(into.capabilities)},
      {"framework", text(into.framework)},
      {"gpuType", text(into.gpu_type)},
      {"tags", texts(into.tags)},
      {"labels", labels(into.labels)},
      {"metrics", metrics(into.metrics)},
      {"hyperParameters", named_values(into.hyper_parameters)},
      {"signature", signature(into.signature)},
      {"training", git(into.training)},
      {"dataset", git(into.dataset)},
      {"kinds", kinds(into.kinds)},
  };
}

// Text in double quotes: what JSON writes, YAML reads.
std::string quoted(std::string_view text) {
  std::string out;
  base::JsonWriter(out).text(text);
  return out;
}

void line(std::string& out, std::string_view key, std::string_view value) {
  out += value.empty() ? fmt::format("# {}:\n", key) : fmt::format("{}: {}\n", key, quoted(value));
}

void line(std::string& out, std::string_view key, const std::vector<std::string>& values) {
  if (values.empty()) {
    out += fmt::format("# {}: []\n", key);
    return;
  }
  out += fmt::format("{}:\n", key);
  for (const std::string& value : values) {
    out += fmt::format("  - {}\n", quoted(value));
  }
}

template <typename Value>
void take_if_empty(Value& into, const Value& found) {
  if (into.empty()) {
    into = found;
  }
}

Result<Description> parse_file(std::string_view text,
                               std::string_view name,
                               Fields (*fields)(Description& into)) {
  if (text.size() > kMaxModelFileBytes) {
    return Error(Code::kExhausted,
                 fmt::format("{} is longer than {}", name, base::format_bytes(kMaxModelFileBytes)));
  }
  const auto read = [&]() -> Result<Description> {
    const YamlValue root = TRY(parse_yaml(text));
    Description description;
    if (root.kind != Kind::kNull) {
      TRY(read_fields(root, fields(description)));
    }
    return description;
  };
  auto description = read();
  if (!description.ok()) {
    return std::move(description).error().in_file(std::string(name)).context(name);
  }
  return description;
}

}  // namespace

bool Capabilities::empty() const {
  return input_types.empty() && output_types.empty() && knowledge_cutoff.empty() && !reasoning &&
         !tool_usage && !reward && languages.empty();
}

Result<Description> parse_model_file(std::string_view text) {
  return parse_file(text, kModelFileName, [](Description& into) { return fields_of(into); });
}

Result<Description> parse_ormbfile(std::string_view text) {
  return parse_file(text, kOrmbfileName, [](Description& into) {
    Fields fields = fields_of(into);
    fields["directoryStructure"] = [](const YamlValue&) { return Result<void>(); };
    return fields;
  });
}

std::string write_model_file(const Description& description) {
  std::string out =
      "# What a registry is told about this model. Read by `weighbridge pack` and `push`; what is\n"
      "# commented out is left out, or found from the files.\n";
  line(out, "name", description.name);
  line(out, "version", description.version);
  line(out, "description", description.description);
  line(out, "authors", description.authors);
  line(out, "vendor", description.vendor);
  line(out, "licenses", description.licenses);
  line(out, "sourceURL", description.source_url);
  line(out, "revision", description.revision);
  line(out, "family", description.family);
  line(out, "architecture", description.architecture);
  line(out, "format", description.format);
  line(out, "paramSize", description.param_size);
  line(out, "precision", description.precision);
  line(out, "quantization", description.quantization);
  line(out, "framework", description.framework);
  return out;
}

Description merge(Description stated, const Description& found) {
  take_if_empty(stated.name, found.name);
  take_if_empty(stated.family, found.family);
  take_if_empty(stated.licenses, found.licenses);
  take_if_empty(stated.architecture, found.architecture);
  take_if_empty(stated.format, found.format);
  take_if_empty(stated.param_size, found.param_size);
  take_if_empty(stated.precision, found.precision);
  take_if_empty(stated.quantization, found.quantization);
  return stated;
}

}  // namespace weighbridge::pack
