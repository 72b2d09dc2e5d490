#include "cli/discover.h"

#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/json_writer.h"
#include "base/text.h"
#include "cli/remote.h"
#include "cli/report.h"
#include "registry/manifest.h"

namespace weighbridge::cli {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;
using registry::Descriptor;

struct Discovered {
  std::string ref;
  std::string digest;
  std::vector<Descriptor> referrers;
};

Result<registry::Digest> digest_of(const Call& call, const Remote& remote) {
  if (remote.reference.digest) {
    return registry::Digest(*remote.reference.digest);
  }
  const auto head =
      TRY(remote.client->head_manifest(call, remote.reference.repository, remote.reference.name()));
  if (!head) {
    return Error(Code::kNotFound, "there is no such artifact").in_file(remote.text());
  }
  return registry::Digest(head->digest);
}

Result<Discovered> discover(const Call& call,
                            const Environment& environment,
                            Style style,
                            const Remote& remote,
                            const std::string& type) {
  Discovered found{remote.text(), {}, {}};
  TRY(persistently(call, environment, style, [&]() -> Result<void> {
    const registry::Digest digest = TRY(digest_of(call, remote));
    found.digest = digest.text();
    found.referrers =
        TRY(remote.client->referrers(call, remote.reference.repository, digest, type));
    return {};
  }));
  return found;
}

void referrer_object(base::JsonWriter& json, const Descriptor& referrer) {
  json.begin_object();
  json.key("digest");
  json.text(referrer.digest.text());
  json.key("artifact_type");
  json.text(referrer.artifact_type);
  json.key("media_type");
  json.text(referrer.media_type);
  json.key("bytes");
  json.number(referrer.size);
  json.key("annotations");
  json.begin_object();
  for (const auto& [key, value] : referrer.annotations) {
    json.key(key);
    json.text(value);
  }
  json.end_object();
  json.end_object();
}

std::string as_json(const Discovered& found) {
  std::string text;
  base::JsonWriter json(text);
  json.begin_object();
  json.key("ref");
  json.text(found.ref);
  json.key("digest");
  json.text(found.digest);
  json.key("referrers");
  json.begin_array();
  for (const Descriptor& referrer : found.referrers) {
    referrer_object(json, referrer);
  }
  json.end_array();
  json.end_object();
  return text + "\n";
}

std::string for_people(const Discovered& found) {
  std::string text = fmt::format("{}\n  {}\n  {} attached\n",
                                 found.ref,
                                 found.digest,
                                 counted(found.referrers.size(), "artifact"));
  for (const Descriptor& referrer : found.referrers) {
    text +=
        fmt::format("  {}  {}\n", referrer.digest.text(), base::printable(referrer.artifact_type));
  }
  return text;
}

}  // namespace

std::string_view DiscoverCommand::example() const {
  return "Example:\n"
         "  weighbridge discover oci://registry.example/org/qwen:v1 --type application/vnd.example";
}

void DiscoverCommand::declare(CLI::App& app) {
  app.add_option("REF", ref_, "An artifact: oci://host/repository:tag")->required();
  app.add_option("--type", type_, "Only what has this artifact type");
  flags_.declare(app);
}

Result<void> DiscoverCommand::run(const Call& call, const Environment& environment, Style style) {
  const Remote remote = TRY(open_remote(environment, ref_, flags_));
  const Discovered found = TRY(discover(call, environment, style, remote, type_));
  return environment.out.write(style.json ? as_json(found) : for_people(found));
}

}  // namespace weighbridge::cli
