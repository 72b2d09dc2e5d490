#include "cli/pack.h"

#include <span>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/json_writer.h"
#include "base/text.h"
#include "base/units.h"
#include "cli/open_ref.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "pack/image_layout.h"
#include "pack/pack.h"
#include "registry/reference.h"

namespace weighbridge::cli {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

Result<OpenedRef> open_directory(const Environment& environment, const std::string& text) {
  OpenedRef opened = TRY(open_ref(environment, text));
  if (opened.ref.scheme() != model::Scheme::kFile) {
    return Error(Code::kInvalid, "only a local directory can be packed")
        .in_file(opened.ref.printable());
  }
  return opened;
}

std::string in_directory(const OpenedRef& opened, std::string_view name) {
  const std::string& directory = opened.ref.location();
  return fmt::format("{}{}{}", directory, directory.ends_with('/') ? "" : "/", name);
}

Result<void> is_free(io::FileSystem& files, const std::string& path) {
  const auto there = files.info(path);
  if (!there.ok() && there.error().code() == Code::kNotFound) {
    return {};
  }
  TRY(files.info(path));
  return Error(Code::kExists, "it is there already")
      .in_file(path)
      .with_hint("Edit it, or let --force write it anew.");
}

// Writes the file; returns its path.
Result<std::string> init(const Call& call,
                         const Environment& environment,
                         const std::string& directory,
                         bool force) {
  const OpenedRef opened = TRY(open_directory(environment, directory));
  auto listing = TRY(opened.source->list(call));
  if (!listing) {
    return Error(Code::kInvalid, "this is no directory").in_file(opened.ref.printable());
  }
  std::string path = in_directory(opened, pack::kModelFileName);
  if (!force) {
    TRY(is_free(environment.files, path));
  }
  model::Snapshot snapshot;
  snapshot.origin = opened.ref.printable();
  snapshot.listed = true;
  snapshot.files = std::move(listing->files);
  snapshot.refused = std::move(listing->refused);
  if (force) {  // what it said may be why it is written anew
    std::erase_if(snapshot.files,
                  [](const model::File& file) { return file.path == pack::kModelFileName; });
  }
  const pack::Description found =
      TRY(pack::describe_model(call, environment.transfer, *opened.source, snapshot));
  const std::string text = pack::write_model_file(found);
  TRY(io::write_file_atomically(
      environment.files, path, std::as_bytes(std::span(text.data(), text.size()))));
  return path;
}

struct Packed {
  std::string place;
  std::string tag;
  std::string digest;
  std::string seal_sha256;
  std::size_t layers = 0;
  std::uint64_t bytes = 0;
  base::Duration took{};
};

Result<Packed> pack_to_layout(const Call& call,
                              const Environment& environment,
                              Style style,
                              const OpenedRef& opened,
                              Packed packed) {
  const base::TimePoint began = call.clock().now();
  transfer::Progress progress;
  const ProgressDisplay display(call.clock(), "packing", progress, environment.err, style);
  const pack::PackedModel model =
      TRY(pack::pack_model(call, environment.transfer, *opened.source, progress));
  auto layout = TRY(pack::ImageLayout::open_or_create(environment.files, packed.place));
  TRY(pack::write_to_layout(call, *opened.source, model, layout, packed.tag));
  packed.digest = model.artifact.digest().text();
  packed.seal_sha256 = registry::Digest::of(model.seal_bytes).hex();
  packed.layers = model.artifact.manifest.layers.size();
  packed.bytes = progress.wanted_bytes;
  packed.took = call.clock().now() - began;
  return packed;
}

std::string as_json(const Packed& packed) {
  std::string text;
  base::JsonWriter json(text);
  json.begin_object();
  json.key("digest");
  json.text(packed.digest);
  json.key("seal_sha256");
  json.text(packed.seal_sha256);
  json.key("layout");
  json.text(packed.place);
  json.key("tag");
  json.text(packed.tag);
  json.key("layers");
  json.number(packed.layers);
  json.key("bytes");
  json.number(packed.bytes);
  json.key("seconds");
  json.decimal(seconds(packed.took));
  json.end_object();
  return text + "\n";
}

std::string for_people(const Packed& packed) {
  return fmt::format("packed {}, {}\n  layout {} as {}\n  digest {}\n  seal {}\n",
                     counted(packed.layers, "layer"),
                     bytes_in(packed.bytes, packed.took),
                     base::printable(packed.place),
                     packed.tag,
                     packed.digest,
                     packed.seal_sha256);
}

}  // namespace

std::string_view InitCommand::example() const {
  return "Example:\n"
         "  weighbridge init ./qwen\n"
         "What it finds in the files stands in it; the rest is commented out.";
}

void InitCommand::declare(CLI::App& app) {
  app.add_option("DIR", directory_, "The directory of the model")->required();
  app.add_flag("--force", force_, "Replace the file that is there");
}

Result<void> InitCommand::run(const Call& call, const Environment& environment, Style style) {
  const std::string path = TRY(init(call, environment, directory_, force_));
  if (!style.json) {
    return environment.out.write(fmt::format("wrote {}\n", base::printable(path)));
  }
  std::string text;
  base::JsonWriter json(text);
  json.begin_object();
  json.key("file");
  json.text(path);
  json.end_object();
  return environment.out.write(text + "\n");
}

std::string_view PackCommand::example() const {
  return "Example:\n"
         "  weighbridge pack ./qwen --to oci-layout ./qwen-layout --tag v1\n"
         "The same files give the same digest on every machine.";
}

void PackCommand::declare(CLI::App& app) {
  app.add_option("DIR", directory_, "The directory to pack")->required();
  app.add_option("--to", to_, "oci-layout and a directory: where the artifact is written")
      ->expected(2)
      ->required();
  app.add_option("--tag", tag_, "Its name in the layout (latest)")->default_str("latest");
}

Result<void> PackCommand::run(const Call& call, const Environment& environment, Style style) {
  if (to_[0] != "oci-layout") {
    return Error(Code::kInvalid,
                 fmt::format("'{}' is no place to pack to", base::printable(to_[0])))
        .with_hint("Write --to oci-layout DIR.");
  }
  if (tag_.empty()) {
    tag_ = "latest";
  }
  if (!registry::is_tag(tag_)) {
    return Error(Code::kInvalid, fmt::format("'{}' is no tag", base::printable(tag_)));
  }
  const OpenedRef opened = TRY(open_directory(environment, directory_));
  Packed packed;
  packed.place = to_[1];
  packed.tag = tag_;
  packed = TRY(pack_to_layout(call, environment, style, opened, std::move(packed)));
  return environment.out.write(style.json ? as_json(packed) : for_people(packed));
}

}  // namespace weighbridge::cli
