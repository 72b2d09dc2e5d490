#include "cli/remote_list.h"

#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/json_writer.h"
#include "base/text.h"
#include "cli/remote.h"
#include "pack/remote_edit.h"

namespace weighbridge::cli {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

// What stands in one place: repositories of a host, or tags of a repository.
struct Names {
  std::string ref;
  std::string_view kind;  // the member of the JSON
  std::vector<std::string> names;
};

std::string as_json(const Names& listed) {
  std::string text;
  base::JsonWriter json(text);
  json.begin_object();
  json.key("ref");
  json.text(listed.ref);
  json.key(listed.kind);
  json.begin_array();
  for (const std::string& name : listed.names) {
    json.text(name);
  }
  json.end_array();
  json.end_object();
  return text + "\n";
}

std::string for_people(const Names& listed) {
  std::string text;
  for (const std::string& name : listed.names) {
    text += base::printable(name) + "\n";
  }
  return text;
}

Result<registry::Client*> client_at(const Environment& environment, const std::string& host) {
  registry::Registries* const registries = TRY(environment.registries());
  return registries->at(host);
}

Result<Names> repositories_of(const Call& call,
                              const Environment& environment,
                              Style style,
                              const std::string& host) {
  registry::Client* const client = TRY(client_at(environment, host));
  Names listed{"oci://" + client->host(), "repositories", {}};
  auto done = persistently(call, environment, style, [&]() -> Result<void> {
    listed.names = TRY(client->repositories(call));
    return {};
  });
  if (!done.ok() &&
      (done.error().code() == Code::kNotFound || done.error().code() == Code::kUnsupported)) {
    return std::move(done)
        .error()
        .with_code(Code::kUnsupported)
        .with_hint(
            "This registry does not list its repositories; name one: oci://host/repository.");
  }
  TRY(std::move(done));
  return listed;
}

Result<Names> tags_of(const Call& call,
                      const Environment& environment,
                      Style style,
                      const registry::Reference& reference) {
  if (reference.tag || reference.digest) {
    return Error(Code::kInvalid, "`ls` lists the tags of a repository, and this names one artifact")
        .in_file("oci://" + reference.text())
        .with_hint("`weighbridge inspect` shows what is in it.");
  }
  registry::Client* const client = TRY(client_at(environment, reference.host));
  Names listed{"oci://" + reference.text(), "tags", {}};
  TRY(persistently(call, environment, style, [&]() -> Result<void> {
    listed.names = TRY(client->tags(call, reference.repository));
    return {};
  }));
  return listed;
}

}  // namespace

Result<void> list_remote(const Call& call,
                         const Environment& environment,
                         Style style,
                         std::string_view text) {
  if (!is_remote(text)) {
    return Error(Code::kInvalid, "a registry is expected: oci://HOST or oci://HOST/REPOSITORY")
        .in_file(base::printable(text));
  }
  std::string_view place = text.substr(std::string_view("oci://").size());
  if (place.ends_with('/')) {
    place.remove_suffix(1);
  }
  const Names listed =
      place.find('/') == std::string_view::npos
          ? TRY(repositories_of(call, environment, style, std::string(place)))
          : TRY(tags_of(call, environment, style, TRY(registry::Reference::parse(place))));
  return environment.out.write(style.json ? as_json(listed) : for_people(listed));
}

Result<void> remove_remote(const Call& call,
                           const Environment& environment,
                           Style style,
                           std::string_view text) {
  const Remote remote = TRY(open_remote(environment, text));
  if (!remote.reference.tag && !remote.reference.digest) {
    return Error(Code::kInvalid, "name the tag or digest to remove").in_file(remote.text());
  }
  TRY(persistently(call, environment, style, [&] {
    return pack::remove_artifact(call, *remote.client, remote.reference);
  }));
  std::string out = fmt::format("removed {}\n", remote.text());
  if (style.json) {
    out.clear();
    base::JsonWriter json(out);
    json.begin_object();
    json.key("removed");
    json.text(remote.text());
    json.end_object();
    out += "\n";
  }
  return environment.out.write(out);
}

}  // namespace weighbridge::cli
