#include "cli/attach.h"

#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/json_writer.h"
#include "cli/progress.h"
#include "cli/remote.h"
#include "pack/attach.h"

namespace weighbridge::cli {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

Result<registry::Annotations> parse_annotations(const std::vector<std::string>& texts) {
  registry::Annotations annotations;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Error(Code::kInvalid, "--annotation: expected key=value");
    }
    annotations[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return annotations;
}

std::string as_json(const std::string& ref, const pack::Attached& attached) {
  std::string text;
  base::JsonWriter json(text);
  json.begin_object();
  json.key("ref");
  json.text(ref);
  json.key("digest");
  json.text(attached.digest.text());
  json.key("subject");
  json.text(attached.subject.text());
  json.end_object();
  return text + "\n";
}

}  // namespace

std::string_view AttachCommand::example() const {
  return "Example:\n"
         "  weighbridge attach oci://registry.example/org/qwen:v1 eval.json --type "
         "application/vnd.example.eval\n"
         "The artifact itself stays as it is; `weighbridge discover` lists what is attached.";
}

void AttachCommand::declare(CLI::App& app) {
  app.add_option("REF", ref_, "An artifact: oci://host/repository:tag")->required();
  app.add_option("FILE", file_, "A local file")->required();
  app.add_option("--type", type_, "The artifact type, which says what it is")->required();
  app.add_option("--media-type", media_type_, "Of the file")->capture_default_str();
  app.add_option("--annotation", annotations_, "Said of it, beside the type; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  flags_.declare(app);
}

Result<void> AttachCommand::run(const Call& call, const Environment& environment, Style style) {
  auto annotations = TRY(parse_annotations(annotations_));
  pack::Attachment attachment{file_, type_, media_type_, std::move(annotations)};
  const Remote remote = TRY(open_remote(environment, ref_, flags_));
  transfer::Progress progress;
  const auto attach = [&] {
    const ProgressDisplay display(call.clock(), "attaching", progress, environment.err, style);
    return pack::attach(
        call, environment.files, *remote.client, remote.reference, attachment, progress);
  };
  const pack::Attached attached = TRY(attach());
  const std::string ref = fmt::format(
      "oci://{}/{}@{}", remote.reference.host, remote.reference.repository, attached.digest.text());
  return environment.out.write(
      style.json ? as_json(ref, attached)
                 : fmt::format("attached {}\n  to {}\n", ref, attached.subject.text()));
}

}  // namespace weighbridge::cli
