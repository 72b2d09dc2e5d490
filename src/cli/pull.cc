#include "cli/pull.h"

#include <memory>
#include <optional>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/units.h"
#include "cli/open_ref.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "transfer/pull.h"

namespace weighbridge::cli {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

struct Finished {
  std::string ref;
  transfer::Pulled pulled;
  base::Duration took{};
};

std::string as_json(const Finished& finished) {
  const transfer::Pulled& pulled = finished.pulled;
  std::string text;
  base::JsonWriter json(text);
  json.begin_object();
  json.key("ref");
  json.text(finished.ref);
  json.key("directory");
  json.text(pulled.directory);
  json.key("content_id");
  json.text(pulled.content_id.hex());
  json.key("seal_sha256");
  if (pulled.seal_sha256) {
    json.text(pulled.seal_sha256->hex());
  } else {
    json.null();
  }
  json.key("proof");
  json.text(model::name_of(pulled.trust));
  json.key("files");
  json.number(pulled.files);
  json.key("bytes");
  json.number(pulled.bytes);
  json.key("fetched_bytes");
  json.number(pulled.fetched_bytes);
  json.key("copied_bytes");
  json.number(pulled.copied_bytes);
  json.key("present_bytes");
  json.number(pulled.present_bytes);
  json.key("seconds");
  json.decimal(seconds(finished.took));
  json.end_object();
  return text + "\n";
}

// Beside the path, which is all that goes to standard output.
std::string for_people(const Finished& finished) {
  const transfer::Pulled& pulled = finished.pulled;
  std::string text = fmt::format("pulled {}, {}: {} fetched, {} copied, {} were there\n",
                                 counted(pulled.files, "file"),
                                 bytes_in(pulled.bytes, finished.took),
                                 base::format_bytes(pulled.fetched_bytes),
                                 base::format_bytes(pulled.copied_bytes),
                                 base::format_bytes(pulled.present_bytes));
  if (pulled.trust == model::Trust::kFirstSeen) {
    text += "  not verified: nobody vouches for some of these bytes (first-seen)\n";
  }
  return text;
}

Result<store::SpaceLimits> limits_of(const std::string& quota) {
  store::SpaceLimits limits;
  if (!quota.empty()) {
    limits.quota_bytes = base::parse_bytes(quota);
    if (!limits.quota_bytes) {
      return Error(Code::kInvalid, "--quota: a size is expected")
          .with_hint("For example --quota 200GiB; KiB, MiB, GiB and TiB are known.");
    }
  }
  return limits;
}

}  // namespace

std::string_view PullCommand::example() const {
  return "Example:\n"
         "  weighbridge pull https://models.example/qwen/ --filter '*.json'\n"
         "Prints the directory that holds the files, which are for reading. What the store has is\n"
         "not fetched again, and what was interrupted goes on where it stopped.";
}

void PullCommand::declare(CLI::App& app) {
  app.add_option("REF", ref_, "Directory, file or URL; a pin may follow after '#'")->required();
  app.add_option("--filter", filters_, "Only files whose path matches; may be repeated")
      ->type_name("GLOB")
      ->allow_extra_args(false);
  app.add_option("--quota", quota_, "Let the store take no more than this; the least used go first")
      ->type_name("SIZE");
  declare_offline(app, offline_);
}

Result<void> PullCommand::run(const Call& call, const Environment& environment, Style style) {
  const base::TimePoint began = call.clock().now();
  const model::Ref ref = TRY(model::Ref::parse(ref_));
  const store::SpaceLimits limits = TRY(limits_of(quota_));
  const auto store = TRY(environment.open_store(limits));
  std::unique_ptr<sources::Source> origin;
  if (ref.scheme() != model::Scheme::kName) {
    origin = offline_ ? TRY(environment.open_source(ref))
                      : TRY(open_to_pull(call, environment, style, ref, store->home().path()));
  }
  Finished finished;
  {
    transfer::PullProgress progress;
    const ProgressDisplay display(
        call.clock(), "pulling", progress.transfer, environment.err, style);
    finished.pulled = TRY(transfer::pull(call,
                                         {origin.get(), environment.transfer, *store},
                                         ref,
                                         {.filters = filters_, .offline = offline_},
                                         progress));
  }
  finished.ref = ref.printable();
  finished.took = call.clock().now() - began;
  if (style.json) {
    return environment.out.write(as_json(finished));
  }
  TRY(environment.out.write(finished.pulled.directory + "\n"));
  return style.quiet ? Result<void>() : environment.err.write(for_people(finished));
}

}  // namespace weighbridge::cli
