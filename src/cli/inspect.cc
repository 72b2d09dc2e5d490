#include "cli/inspect.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/artifact_report.h"
#include "cli/open_ref.h"
#include "cli/progress.h"
#include "cli/remote.h"
#include "cli/report.h"
#include "index/index.h"
#include "loader/required_proof.h"
#include "model/tensor.h"
#include "transfer/content_id.h"
#include "transfer/resolve.h"

namespace weighbridge::cli {
namespace {

using base::Call;
using base::Result;
using model::Trust;

// A model of a million files is printed in parts of this size.
constexpr std::size_t kFlushBytes = 256 * base::kKiB;

struct Inspected {
  model::Ref ref;
  std::optional<ArtifactReport> artifact;  // that the files stand in
  std::optional<index::Index> index;       // nothing where no tensors stand in files of it
  std::vector<Trust> trusts;               // of the files of the snapshot, in their order
  std::optional<hash::Root> content_id;
};

// A header of a file that can be proved only as a whole is no more than a rumour: reads all of it.
Result<void> prove_whole(const Call& call,
                         const Environment& environment,
                         Style style,
                         sources::Source& source,
                         index::Index& index) {
  const bool proved = std::ranges::none_of(index.files(), [](const index::IndexedFile& indexed) {
    return indexed.proof.trust == Trust::kNone;
  });
  if (proved) {
    return {};
  }
  transfer::Progress progress;
  const ProgressDisplay display(call.clock(), "proving", progress, environment.err, style);
  return index.prove(call, environment.transfer, source, progress);
}

// Who vouches for each file: what was read of it has been held to that.
std::vector<Trust> trusts_of(transfer::Transfer& transfer,
                             sources::Source& source,
                             const index::Index& index) {
  std::vector<Trust> trusts;
  for (const model::File& file : index.snapshot().files) {
    const bool seen = file.trust == Trust::kNone &&
                      transfer.first_seen().root(source.identity(file.path), file).has_value();
    trusts.push_back(seen ? Trust::kFirstSeen : file.trust);
  }
  for (const index::IndexedFile& indexed : index.files()) {
    if (indexed.proof.trust != Trust::kNone) {
      trusts[indexed.file] = indexed.proof.trust;
    }
  }
  return trusts;
}

Result<Inspected> inspect(const Call& call,
                          const Environment& environment,
                          Style style,
                          const std::string& text,
                          bool offline,
                          Trust least_trust) {
  OpenedRef opened = TRY(open_ref_through_store(environment, text, offline));
  sources::Source& source = *opened.source;
  std::optional<ArtifactReport> artifact;
  TRY(persistently(call, environment, style, [&]() -> Result<void> {
    if (!offline) {
      artifact = TRY(report_artifact(call, opened.origin ? *opened.origin : source));
    }
    return {};
  }));
  if (artifact && !is_streamable(*artifact)) {
    return Inspected{std::move(opened.ref), std::move(artifact), {}, {}, {}};
  }
  model::Snapshot snapshot = TRY(transfer::resolve(call, source, opened.ref));
  auto found = index::Index::open(call, environment.transfer, source, std::move(snapshot));
  if (artifact && !found.ok() && found.error().code() == base::Code::kNotFound) {
    return Inspected{std::move(opened.ref), std::move(artifact), {}, {}, {}};
  }
  index::Index index = TRY(std::move(found));
  TRY(loader::require_proof(index, least_trust));
  TRY(prove_whole(call, environment, style, source, index));
  std::vector<Trust> trusts = trusts_of(environment.transfer, source, index);
  const auto content_id = transfer::content_id_of(
      index.snapshot(), source, environment.transfer.first_seen(), environment.transfer.trees());
  return Inspected{
      std::move(opened.ref), std::move(artifact), std::move(index), std::move(trusts), content_id};
}

// Text that leaves for `out` whenever there is enough of it. Confined.
class Pages {
 public:
  explicit Pages(Output& out) : out_(out) {}

  std::string& text() { return text_; }

  Result<void> turn() { return text_.size() < kFlushBytes ? Result<void>() : flush(); }

  Result<void> flush() {
    TRY(out_.write(text_));
    text_.clear();
    return {};
  }

 private:
  Output& out_;
  std::string text_;
};

void file_object(base::JsonWriter& json, const model::File& file, Trust trust) {
  json.begin_object();
  json.key("path");
  json.text(file.path);
  json.key("bytes");
  json.number(file.size);
  if (file.sha256) {
    json.key("sha256");
    json.text(file.sha256->hex());
  }
  json.key("proof");
  json.text(model::name_of(trust));
  json.end_object();
}

void tensor_object(base::JsonWriter& json,
                   const model::TensorEntry& tensor,
                   const std::string& path) {
  json.begin_object();
  json.key("name");
  json.text(tensor.name);
  json.key("dtype");
  json.text(model::name_of(tensor.dtype));
  json.key("shape");
  shape(json, tensor.shape);
  json.key("file");
  json.text(path);
  json.key("begin");
  json.number(tensor.bytes.begin);
  json.key("end");
  json.number(tensor.bytes.end);
  json.end_object();
}

Result<void> print_files(const Inspected& inspected, Pages& pages, base::JsonWriter& json) {
  const model::Snapshot& snapshot = inspected.index->snapshot();
  json.key("files");
  json.begin_array();
  for (std::size_t i = 0; i < snapshot.files.size(); ++i) {
    file_object(json, snapshot.files[i], inspected.trusts[i]);
    TRY(pages.turn());
  }
  json.end_array();
  json.key("tensors");
  json.begin_array();
  for (const index::IndexedFile& indexed : inspected.index->files()) {
    for (const model::TensorEntry& tensor : indexed.table->tensors) {
      tensor_object(json, tensor, snapshot.files[indexed.file].path);
      TRY(pages.turn());
    }
  }
  json.end_array();
  return {};
}

Result<void> print_json(const Inspected& inspected, Output& out) {
  Pages pages(out);
  base::JsonWriter json(pages.text());
  json.begin_object();
  json.key("ref");
  json.text(inspected.ref.printable());
  json.key("content_id");
  root_or_null(json, inspected.content_id);
  if (inspected.artifact) {
    json.key("artifact");
    artifact_object(json, *inspected.artifact);
  }
  if (inspected.index) {
    TRY(print_files(inspected, pages, json));
  }
  json.end_object();
  pages.text() += '\n';
  return pages.flush();
}

Result<void> print_files_for_people(const Inspected& inspected, Pages& pages) {
  const model::Snapshot& snapshot = inspected.index->snapshot();
  pages.text() += fmt::format("  {}, {}\n",
                              counted(snapshot.files.size(), "file"),
                              counted(inspected.index->tensor_count(), "tensor"));
  if (inspected.content_id) {
    pages.text() += fmt::format("  content_id {}\n", inspected.content_id->hex());
  }
  pages.text() += "files: bytes, proof, path\n";
  for (std::size_t i = 0; i < snapshot.files.size(); ++i) {
    pages.text() += fmt::format("  {:>14}  {:<10}  {}\n",
                                snapshot.files[i].size,
                                model::name_of(inspected.trusts[i]),
                                base::printable(snapshot.files[i].path));
    TRY(pages.turn());
  }
  pages.text() += "tensors: size, type, name, shape, file\n";
  for (const index::IndexedFile& indexed : inspected.index->files()) {
    for (const model::TensorEntry& tensor : indexed.table->tensors) {
      pages.text() += fmt::format("  {:>9}  {:<7}  {}  [{}]  {}\n",
                                  base::format_bytes(tensor.bytes.size()),
                                  model::name_of(tensor.dtype),
                                  base::printable(tensor.name),
                                  fmt::join(tensor.shape, ", "),
                                  base::printable(snapshot.files[indexed.file].path));
      TRY(pages.turn());
    }
  }
  return {};
}

Result<void> print_for_people(const Inspected& inspected, Output& out) {
  Pages pages(out);
  pages.text() += inspected.ref.printable() + "\n";
  if (inspected.artifact) {
    pages.text() += artifact_text(*inspected.artifact);
  }
  if (inspected.index) {
    TRY(print_files_for_people(inspected, pages));
  } else {
    pages.text() += is_streamable(*inspected.artifact)
                        ? "  it has no safetensors files\n"
                        : "  its files stand in archives; `weighbridge pull` unpacks them\n";
  }
  return pages.flush();
}

}  // namespace

std::string_view InspectCommand::example() const {
  return "Example:\n"
         "  weighbridge inspect https://models.example/qwen/ --json\n"
         "A file that only a pin of the whole file can prove is read whole first.";
}

void InspectCommand::declare(CLI::App& app) {
  app.add_option("REF", ref_, "Directory, file or URL; a pin may follow after '#'")->required();
  declare_offline(app, offline_);
  policy_.declare(app);
}

Result<void> InspectCommand::run(const Call& call, const Environment& environment, Style style) {
  policy_.apply(environment);
  const Inspected inspected =
      TRY(inspect(call, environment, style, ref_, offline_, policy_.required()));
  return style.json ? print_json(inspected, environment.out)
                    : print_for_people(inspected, environment.out);
}

}  // namespace weighbridge::cli
