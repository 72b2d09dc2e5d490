#include "cli/tag.h"

#include <optional>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/json_writer.h"
#include "cli/remote.h"
#include "model/ref.h"
#include "pack/remote_edit.h"

namespace weighbridge::cli {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

struct Tagged {
  std::string ref;     // the new name
  std::string digest;  // of the manifest, or the content_id in the store
};

// A tag alone, or a reference to the same repository.
Result<std::string> tag_in(const Remote& remote, const std::string& text) {
  if (!is_remote(text)) {
    if (!registry::is_tag(text)) {
      return Error(Code::kInvalid, "this is no tag").in_file(text);
    }
    return text;
  }
  const auto to = TRY(registry::Reference::parse(text));
  if (to.host != remote.reference.host || to.repository != remote.reference.repository) {
    return Error(Code::kInvalid, "a tag stays in its repository")
        .in_file(text)
        .with_hint("`weighbridge cp` brings an artifact to another repository or registry.");
  }
  if (!to.tag || to.digest) {
    return Error(Code::kInvalid, "this names no tag").in_file(text);
  }
  return std::string(*to.tag);
}

Result<Tagged> tag_remote(const Call& call,
                          const Environment& environment,
                          Style style,
                          const Remote& remote,
                          const std::string& new_text) {
  const std::string tag = TRY(tag_in(remote, new_text));
  Tagged tagged;
  TRY(persistently(call, environment, style, [&]() -> Result<void> {
    tagged.digest = TRY(pack::tag_artifact(call, *remote.client, remote.reference, tag)).text();
    return {};
  }));
  tagged.ref =
      fmt::format("oci://{}/{}:{}", remote.reference.host, remote.reference.repository, tag);
  return tagged;
}

// Another name for what a name in the store stands for.
Result<Tagged> tag_local(const Environment& environment,
                         const std::string& text,
                         const std::string& new_text) {
  const model::Ref from = TRY(model::Ref::parse(text));
  const model::Ref to = TRY(model::Ref::parse(new_text));
  if (to.scheme() != model::Scheme::kName) {
    return Error(Code::kInvalid, "a name in the store is written name:tag").in_file(to.printable());
  }
  const auto store = TRY(environment.open_store({}));
  std::optional<store::RefRecord> record = TRY(store->refs().find(from));
  if (!record || !record->content_id) {
    return Error(Code::kNotFound, "nothing in the store has this name").in_file(from.printable());
  }
  record->ref = to.printable();
  TRY(store->refs().put(to, *record));
  return Tagged{to.printable(), record->content_id->hex()};
}

std::string as_json(const Tagged& tagged) {
  std::string text;
  base::JsonWriter json(text);
  json.begin_object();
  json.key("ref");
  json.text(tagged.ref);
  json.key("digest");
  json.text(tagged.digest);
  json.end_object();
  return text + "\n";
}

}  // namespace

std::string_view TagCommand::example() const {
  return "Example:\n"
         "  weighbridge tag oci://registry.example/org/qwen:v1 latest\n"
         "A tag that is there moves. In the store: weighbridge tag REF qwen:v1";
}

void TagCommand::declare(CLI::App& app) {
  app.add_option("REF", ref_, "An artifact in a registry, or what stands in the store")->required();
  app.add_option("NEW", new_, "The tag, or name:tag in the store")->required();
  flags_.declare(app);
}

Result<void> TagCommand::run(const Call& call, const Environment& environment, Style style) {
  Tagged tagged;
  if (is_remote(ref_)) {
    const Remote remote = TRY(open_remote(environment, ref_, flags_));
    tagged = TRY(tag_remote(call, environment, style, remote, new_));
  } else {
    tagged = TRY(tag_local(environment, ref_, new_));
  }
  return environment.out.write(
      style.json ? as_json(tagged) : fmt::format("{} is\n  {}\n", tagged.ref, tagged.digest));
}

}  // namespace weighbridge::cli
