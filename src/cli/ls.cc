#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/remote_list.h"
#include "cli/report.h"
#include "cli/store_commands.h"
#include "cli/stored_ref.h"
#include "store/stock.h"

namespace weighbridge::cli {
namespace {

using base::Call;
using base::Result;

constexpr CommandText kText{
    "ls",
    "List the models that are on this machine",
    "Example:\n"
    "  weighbridge ls\n"
    "  weighbridge ls https://models.example/qwen/\n"
    "  weighbridge ls oci://registry.example/qwen --remote    # its tags\n"
    "'part' marks a model of which files are missing: `weighbridge pull` completes it."};

constexpr std::int64_t kSecond = 1'000'000'000;

// What is listed.
struct Listed {
  std::vector<store::Holding> refs;
  std::vector<store::AdoptedDirectory> adopted;
};

Result<Listed> list(const Environment& environment, const std::string& only) {
  const auto store = TRY(environment.find_store({}));
  Listed listed;
  if (!store) {
    return only.empty() ? Result<Listed>(std::move(listed)) : no_such_ref(only);
  }
  listed.refs = TRY(store::take_stock(store->home(), store->space(), store->refs())).refs;
  listed.adopted = TRY(store->adopted().all());
  if (only.empty()) {
    return listed;
  }
  const auto directory = canonical_path(only);
  std::erase_if(listed.adopted, [&](const auto& one) { return one.directory != directory; });
  const auto found = find_stored_ref(*store, only);
  if (!found.ok() && listed.adopted.empty()) {
    return found.error().copy();
  }
  std::erase_if(listed.refs, [&](const store::Holding& holding) {
    return !found.ok() || holding.ref.name != found->name;
  });
  return listed;
}

// What of it is there: "whole", "part", or "?" where nobody knows what it consists of.
std::string_view state_of(const store::Holding& holding) {
  if (!holding.files) {
    return "?";
  }
  return holding.is_whole() ? "whole" : "part";
}

std::optional<std::string> last_use(const store::Holding& holding) {
  if (!holding.used_ns || *holding.used_ns < 0) {
    return std::nullopt;
  }
  return utc_time(static_cast<std::uint64_t>(*holding.used_ns / kSecond));
}

std::uint64_t bytes_of(const store::AdoptedDirectory& adopted) {
  std::uint64_t bytes = 0;
  for (const store::AdoptedFile& file : adopted.files) {
    bytes += file.size;
  }
  return bytes;
}

std::uint64_t withdrawn_of(const store::AdoptedDirectory& adopted) {
  return static_cast<std::uint64_t>(
      std::ranges::count(adopted.files, true, &store::AdoptedFile::withdrawn));
}

void ref_members(base::JsonWriter& json, const store::Holding& holding) {
  const store::RefRecord& record = holding.ref.record;
  text_member(json, "ref", record.ref);
  json.key("content_id");
  root_or_null(json, record.content_id);
  text_or_null(json, "seal_sha256", record.seal_sha256 ? record.seal_sha256->hex() : "");
  number_member(json, "bytes", holding.bytes);
  text_member(json, "state", holding.files ? state_of(holding) : "unknown");
  number_member(json, "missing_files", holding.missing);
  text_or_null(json, "last_use", last_use(holding).value_or(""));
  text_or_null(json, "pinned", holding.ref.pinned ? holding.ref.pinned->hex() : "");
  text_member(json, "proof", model::name_of(record.trust));
}

std::string as_json(const Listed& listed) {
  return json_object([&](base::JsonWriter& json) {
    objects_member(json, "refs", listed.refs, [&](const store::Holding& holding) {
      ref_members(json, holding);
    });
    objects_member(json, "adopted", listed.adopted, [&](const store::AdoptedDirectory& one) {
      text_member(json, "directory", one.directory);
      text_member(json, "content_id", one.content_id.hex());
      text_member(json, "seal_sha256", one.seal_sha256.hex());
      number_member(json, "files", one.files.size());
      number_member(json, "bytes", bytes_of(one));
      number_member(json, "withdrawn_files", withdrawn_of(one));
    });
  });
}

constexpr std::size_t kShortDigits = 12;

std::string for_people(const Listed& listed) {
  std::string text;
  for (const store::Holding& holding : listed.refs) {
    const store::RefRecord& record = holding.ref.record;
    text += fmt::format("{}\n  {} {}, {}, proof {}{}, last use {}\n",
                        base::printable(record.ref),
                        record.content_id ? record.content_id->hex().substr(0, kShortDigits) : "-",
                        base::format_bytes(holding.bytes),
                        holding.is_whole() || !holding.files
                            ? std::string(state_of(holding))
                            : fmt::format("part: {} missing", counted(holding.missing, "file")),
                        model::name_of(record.trust),
                        holding.ref.pinned ? ", pinned" : "",
                        last_use(holding).value_or("-"));
  }
  for (const store::AdoptedDirectory& one : listed.adopted) {
    const std::uint64_t withdrawn = withdrawn_of(one);
    text += fmt::format("{}\n  {} {}, adopted{}\n",
                        base::printable(one.directory),
                        one.content_id.hex().substr(0, kShortDigits),
                        base::format_bytes(bytes_of(one)),
                        withdrawn > 0 ? fmt::format(", {} changed since: adopt it again",
                                                    counted(withdrawn, "file"))
                                      : "");
  }
  return text.empty() ? "nothing is here yet; `weighbridge pull REF` brings a model\n" : text;
}

// Confined to the thread that runs it.
class LsCommand final : public Command {
 public:
  LsCommand() : Command(kText) {}

  void declare(CLI::App& app) override {
    app.add_option("REF", ref_, "Only this one, as it was pulled or adopted");
    app.add_flag("--remote", remote_, "The repositories or tags of a registry: oci://HOST[/NAME]");
  }

  Result<void> run(const Call& call, const Environment& environment, Style style) override {
    if (remote_) {
      return list_remote(call, environment, style, ref_);
    }
    const Listed listed = TRY(list(environment, ref_));
    return environment.out.write(style.json ? as_json(listed) : for_people(listed));
  }

 private:
  std::string ref_;
  bool remote_ = false;
};

}  // namespace

std::unique_ptr<Command> make_ls_command() {
  return std::make_unique<LsCommand>();
}

}  // namespace weighbridge::cli
