#include "cli/push.h"

#include <random>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/json_writer.h"
#include "base/text.h"
#include "base/units.h"
#include "cli/open_ref.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "pack/push.h"

namespace weighbridge::cli {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

// A push that is over.
struct Told {
  std::string ref;  // with the digest
  pack::Pushed pushed;
  base::Duration took{};
};

// What the registry wanted to be read by a person.
void tell_warnings(registry::Client& client, const transfer::Progress& progress) {
  for (const std::string& warning : client.take_warnings()) {
    progress.notes.add(fmt::format("{} says: {}", client.host(), warning));
  }
}

std::string as_json(const Told& told) {
  std::string text;
  base::JsonWriter json(text);
  json.begin_object();
  json.key("ref");
  json.text(told.ref);
  json.key("digest");
  json.text(told.pushed.digest.text());
  json.key("seal_sha256");
  json.text(told.pushed.seal_sha256.hex());
  json.key("files");
  json.begin_array();
  for (const pack::PushedFile& file : told.pushed.files) {
    json.begin_object();
    json.key("path");
    json.text(file.path);
    json.key("bytes");
    json.number(file.bytes);
    json.key("how");
    json.text(pack::name_of(file.how));
    json.end_object();
  }
  json.end_array();
  json.key("bytes");
  json.number(told.pushed.bytes);
  json.key("sent_bytes");
  json.number(told.pushed.sent_bytes);
  json.key("changed");
  json.boolean(!told.pushed.was_there);
  json.key("seconds");
  json.decimal(seconds(told.took));
  json.end_object();
  return text + "\n";
}

std::string for_people(const Told& told) {
  const pack::Pushed& pushed = told.pushed;
  const std::string files = counted(pushed.files.size(), "file");
  const std::string first =
      pushed.was_there
          ? fmt::format("nothing new: {}, {} are there", files, base::format_bytes(pushed.bytes))
          : fmt::format("pushed {}, {}, of which {} sent",
                        files,
                        bytes_in(pushed.bytes, told.took),
                        base::format_bytes(pushed.sent_bytes));
  return fmt::format("{}\n  as {}\n  digest {}\n  seal {}\n",
                     first,
                     told.ref,
                     pushed.digest.text(),
                     pushed.seal_sha256.hex());
}

}  // namespace

std::string_view PushCommand::example() const {
  return "Example:\n"
         "  weighbridge push ./qwen oci://registry.example/models/qwen:v1\n"
         "What is there already is neither read nor sent; what broke off goes on where it was.";
}

void PushCommand::declare(CLI::App& app) {
  app.add_option("REF", ref_, "The model: a directory, or where else it lives")->required();
  app.add_option("TO", to_, "oci://host/repository:tag")->required();
  app.add_option(
      "--mount-from", mount_from_, "A repository of the same registry that may have some of it");
  flags_.declare(app);
}

Result<void> PushCommand::run(const Call& call, const Environment& environment, Style style) {
  const base::TimePoint began = call.clock().now();
  const registry::Reference to = TRY(registry::Reference::parse(to_));
  registry::Registries* const registries = TRY(flags_.open(environment, to.host));
  registry::Client* const client = TRY(registries->at(to.host));
  const OpenedRef from = TRY(open_ref_through_store(environment, ref_, false));
  const pack::PushParts parts{environment.files,
                              environment.transfer,
                              environment.local_proofs,
                              registries->home(),
                              std::random_device{}()};
  transfer::Progress progress;
  const auto push = [&] {
    const ProgressDisplay display(call.clock(), "pushing", progress, environment.err, style);
    auto pushed =
        pack::push(call, parts, {*from.source, from.ref}, {*client, to, mount_from_}, progress);
    tell_warnings(*client, progress);
    return pushed;
  };
  auto pushed = TRY(push());
  const Told told{
      fmt::format("oci://{}", to.text()), std::move(pushed), call.clock().now() - began};
  return environment.out.write(style.json ? as_json(told) : for_people(told));
}

}  // namespace weighbridge::cli
