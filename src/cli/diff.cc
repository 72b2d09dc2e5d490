#include "cli/diff.h"

#include <algorithm>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/json_writer.h"
#include "base/text.h"
#include "base/units.h"
#include "cli/open_ref.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "formats/seal.h"
#include "hash/sha256.h"
#include "index/index.h"
#include "pack/diff.h"
#include "transfer/resolve.h"

namespace weighbridge::cli {
namespace {

using base::Call;
using base::Code;
using base::Result;
using pack::Change;
using pack::Comparable;

struct Compared {
  std::string old_ref;
  std::string new_ref;
  pack::Difference difference;
};

// Hints are of use where the seal is the one that was resolved.
Result<void> take_hints(const Call& call, sources::Source& source, Comparable& side) {
  if (!side.snapshot.seal_sha256) {
    return {};
  }
  const auto bytes = TRY(source.seal(call));
  if (!bytes || hash::Sha256::of(*bytes) != *side.snapshot.seal_sha256) {
    return {};
  }
  for (formats::SealedFile& file : TRY(formats::parse_seal(*bytes)).files) {
    side.hints.emplace(std::move(file.path), std::move(file.hints));
  }
  return {};
}

// The tables of files with tensors, where there are such.
Result<void> take_tables(const Call& call,
                         const Environment& environment,
                         sources::Source& source,
                         Comparable& side) {
  auto index = index::Index::open(call, environment.transfer, source, side.snapshot);
  if (!index.ok() && index.error().code() == Code::kNotFound) {
    return {};
  }
  const index::Index opened = TRY(std::move(index));
  for (const index::IndexedFile& file : opened.files()) {
    side.tables.emplace(opened.snapshot().files[file.file].path, *file.table);
  }
  return {};
}

Result<Comparable> comparable(const Call& call,
                              const Environment& environment,
                              const OpenedRef& opened) {
  Comparable side;
  side.snapshot = TRY(transfer::resolve(call, *opened.source, opened.ref));
  TRY(take_hints(call, *opened.source, side));
  TRY(take_tables(call, environment, *opened.source, side));
  return side;
}

Result<Compared> compare(const Call& call,
                         const Environment& environment,
                         const std::string& old_text,
                         const std::string& new_text) {
  const OpenedRef before = TRY(open_ref(environment, old_text));
  const OpenedRef after = TRY(open_ref(environment, new_text));
  const Comparable old_side = TRY(comparable(call, environment, before));
  const Comparable new_side = TRY(comparable(call, environment, after));
  return Compared{before.ref.printable(), after.ref.printable(), pack::compare(old_side, new_side)};
}

std::string as_json(const Compared& compared) {
  std::string text;
  base::JsonWriter json(text);
  json.begin_object();
  json.key("old");
  json.text(compared.old_ref);
  json.key("new");
  json.text(compared.new_ref);
  json.key("same");
  json.boolean(compared.difference.same());
  json.key("new_bytes");
  json.number(compared.difference.new_bytes);
  json.key("shared_bytes");
  json.number(compared.difference.shared_bytes);
  json.key("files");
  json.begin_array();
  for (const pack::FileChange& file : compared.difference.files) {
    json.begin_object();
    json.key("path");
    json.text(file.path);
    json.key("change");
    json.text(pack::name_of(file.change));
    json.key("old_bytes");
    json.number(file.old_bytes);
    json.key("new_bytes");
    json.number(file.new_bytes);
    json.key("shared_bytes");
    json.number(file.shared_bytes);
    json.end_object();
  }
  json.end_array();
  json.key("tensors");
  json.begin_array();
  for (const pack::TensorChange& tensor : compared.difference.tensors) {
    json.begin_object();
    json.key("name");
    json.text(tensor.name);
    json.key("change");
    json.text(pack::name_of(tensor.change));
    json.key("bytes");
    json.number(tensor.new_bytes);
    json.end_object();
  }
  json.end_array();
  json.end_object();
  return text + "\n";
}

// What is the same is counted, and the rest named.
template <typename Changes, typename Name>
std::string changes(std::string_view what, const Changes& all, Name name) {
  std::string text;
  std::size_t same = 0;
  for (const auto& one : all) {
    if (one.change == Change::kSame) {
      ++same;
    } else {
      text += fmt::format(
          "  {:<8} {:<7} {}\n", pack::name_of(one.change), what, base::printable(name(one)));
    }
  }
  return text + fmt::format("  {} the same\n", counted(same, what));
}

std::string for_people(const Compared& compared) {
  const pack::Difference& difference = compared.difference;
  std::string text = fmt::format("{}\n{}\n", compared.old_ref, compared.new_ref);
  text += changes("file", difference.files, [](const auto& file) { return file.path; });
  if (!difference.tensors.empty()) {
    text += changes("tensor", difference.tensors, [](const auto& tensor) { return tensor.name; });
  }
  return text + fmt::format("  {} of {} are in the first, too\n",
                            base::format_bytes(difference.shared_bytes),
                            base::format_bytes(difference.new_bytes));
}

}  // namespace

std::string_view DiffCommand::example() const {
  return "Example:\n"
         "  weighbridge diff oci://registry.example/org/qwen:v1 "
         "oci://registry.example/org/qwen:v2\n"
         "Compares digests and the headers of safetensors files; weights are not read. Exit "
         "status\n"
         "0 also where they differ.";
}

void DiffCommand::declare(CLI::App& app) {
  app.add_option("OLD", old_, "The one to compare with")->required();
  app.add_option("NEW", new_, "The one that may have changed")->required();
}

Result<void> DiffCommand::run(const Call& call, const Environment& environment, Style style) {
  const Compared compared = TRY(compare(call, environment, old_, new_));
  return environment.out.write(style.json ? as_json(compared) : for_people(compared));
}

}  // namespace weighbridge::cli
