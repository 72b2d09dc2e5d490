#include "pack/yaml.h"

#include <algorithm>
#include <sstream>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <fmt/format.h>

#include "base/text.h"

namespace weighbridge::pack {
namespace {

using base::Code;
using base::Error;
using base::Result;
using Kind = YamlValue::Kind;

// What this reader refuses, thrown through yaml-cpp to parse_yaml().
struct Refused {
  Code code;
  int line;
  std::string why;
};

// Builds the tree from yaml-cpp's events, so that nothing is expanded, merged or guessed.
// Confined.
class TreeBuilder final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}

  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_names(mark, "?", anchor);
    add(mark, {});
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refused{Code::kInvalid, mark.line, "aliases are not read"};
  }

  void OnScalar(const YAML::Mark& mark,
                const std::string& tag,
                YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_names(mark, tag, anchor);
    YamlValue text;
    text.kind = Kind::kText;
    text.text = value;
    add(mark, std::move(text));
  }

  void OnSequenceStart(const YAML::Mark& mark,
                       const std::string& tag,
                       YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Kind::kList);
  }

  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark,
                  const std::string& tag,
                  YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Kind::kMap);
  }

  void OnMapEnd() override { close(); }

  YamlValue take() { return std::move(root_); }

 private:
  static void refuse_names(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) {
      throw Refused{Code::kInvalid, mark.line, "anchors are not read"};
    }
    if (!tag.empty() && tag != "?" && tag != "!") {
      throw Refused{Code::kInvalid, mark.line, "tags are not read"};
    }
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, Kind kind) {
    refuse_names(mark, tag, anchor);
    if (open_.size() == kMaxYamlDepth) {
      throw Refused{Code::kExhausted,
                    mark.line,
                    fmt::format("it nests deeper than {} levels", kMaxYamlDepth)};
    }
    YamlValue value;
    value.kind = kind;
    value.line = static_cast<std::size_t>(mark.line) + 1;
    open_.push_back(std::move(value));
  }

  void close() {
    YamlValue value = std::move(open_.back());
    open_.pop_back();
    put(std::move(value));
  }

  void add(const YAML::Mark& mark, YamlValue value) {
    value.line = static_cast<std::size_t>(mark.line) + 1;
    put(std::move(value));
  }

  // A value has ended: it is the document, an element, a key or what belongs to the last key.
  void put(YamlValue value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return;
    }
    YamlValue& parent = open_.back();
    if (parent.kind == Kind::kMap && parent.keys.size() == parent.list.size()) {
      take_key(parent, value);
    } else {
      parent.list.push_back(std::move(value));
    }
  }

  static void take_key(YamlValue& map, YamlValue& key) {
    const int line = static_cast<int>(key.line) - 1;
    if (key.kind != Kind::kText) {
      throw Refused{Code::kInvalid, line, "a key is no text"};
    }
    if (std::find(map.keys.begin(), map.keys.end(), key.text) != map.keys.end()) {
      throw Refused{
          Code::kInvalid, line, fmt::format("'{}' stands twice", base::printable(key.text))};
    }
    map.keys.push_back(std::move(key.text));
  }

  YamlValue root_;
  std::vector<YamlValue> open_;
};

Error at_line(Code code, int line, std::string_view why) {
  return {code, fmt::format("line {}: {}", line + 1, why)};
}

bool is_plain_text(std::string_view text) {
  return base::is_utf8(text) && std::all_of(text.begin(), text.end(), [](char c) {
           return static_cast<unsigned char>(c) >= ' ' || c == '\n' || c == '\t' || c == '\r';
         });
}

}  // namespace

const char* YamlValue::kind_name() const {
  switch (kind) {
    case Kind::kText:
      return "a text";
    case Kind::kList:
      return "a list";
    case Kind::kMap:
      return "a map";
    case Kind::kNull:
      break;
  }
  return "nothing";
}

Result<YamlValue> parse_yaml(std::string_view text) {
  if (!is_plain_text(text)) {
    return Error(Code::kInvalid, "it is not UTF-8, or has control characters");
  }
  std::istringstream stream{std::string(text)};
  try {
    YAML::Parser parser(stream);
    TreeBuilder builder;
    if (!parser.HandleNextDocument(builder)) {
      return YamlValue();
    }
    YamlValue value = builder.take();
    TreeBuilder second;
    if (parser.HandleNextDocument(second)) {
      return Error(Code::kInvalid, "it holds more than one document");
    }
    return value;
  } catch (const Refused& refused) {
    return at_line(refused.code, refused.line, refused.why);
  } catch (const YAML::DeepRecursion& error) {
    return at_line(Code::kExhausted, error.mark.line, "it nests too deeply");
  } catch (const YAML::Exception& error) {
    return at_line(Code::kInvalid, error.mark.line, error.msg);
  }
}

}  // namespace weighbridge::pack
