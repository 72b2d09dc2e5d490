#include <string>
#include <utility>

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
using base::Code;
using base::Result;

constexpr CommandText kText{
    "rm",
    "Take a model off this machine",
    "Example:\n"
    "  weighbridge rm https://models.example/qwen/\n"
    "  weighbridge rm oci://registry.example/qwen:v1 --remote    # from the registry\n"
    "Files that other models share stay. Of an adopted directory only the record goes."};

// What went.
struct Removed {
  std::string ref;
  store::Evicted evicted;
  bool adopted = false;  // it was a directory elsewhere
};

base::Error in_use(const Environment& environment, base::Error error) {
  const std::string path = error.file().value_or("");
  const std::string holders = lock_holders(environment.files, path);
  return std::move(error).with_hint(
      holders.empty() ? "Wait for the program that reads it, or end that program."
                      : fmt::format("It is read by {}: wait for it, or end it.", holders));
}

Result<Removed> remove(const Call& call, const Environment& environment, const std::string& text) {
  const auto store = TRY(environment.open_store({}));
  const auto directory = canonical_path(text);
  if (directory && TRY(store->adopted().find(*directory))) {
    TRY(store->adopted().remove(*directory));
    return Removed{*directory, {}, true};
  }
  const store::StoredRef ref = TRY(find_stored_ref(*store, text));
  auto evicted = store::remove_ref(
      call, store->home(), store->space(), store->snapshots(), store->refs(), ref);
  const bool is_leased = !evicted.ok() && evicted.error().code() == Code::kBusy && !ref.pinned;
  if (is_leased) {
    return in_use(environment, std::move(evicted).error());
  }
  store::Evicted gone = TRY(std::move(evicted));
  return Removed{ref.record.ref, std::move(gone), false};
}

std::string as_json(const Removed& removed) {
  return json_object([&](base::JsonWriter& json) {
    text_member(json, "ref", removed.ref);
    boolean_member(json, "adopted", removed.adopted);
    number_member(json, "blobs", removed.evicted.blobs.size());
    number_member(json, "freed_bytes", removed.evicted.freed_bytes);
  });
}

std::string for_people(const Removed& removed) {
  if (removed.adopted) {
    return fmt::format("{} is no member any more; its files are where they were\n",
                       base::printable(removed.ref));
  }
  return fmt::format("removed {}, {} freed\n",
                     base::printable(removed.ref),
                     base::format_bytes(removed.evicted.freed_bytes));
}

// Confined to the thread that runs it.
class RmCommand final : public Command {
 public:
  RmCommand() : Command(kText) {}

  void declare(CLI::App& app) override {
    app.add_option("REF", ref_, "As it was pulled or adopted, or as `ls` prints it")->required();
    app.add_flag("--remote", remote_, "Delete the artifact oci://HOST/NAME:TAG in its registry");
  }

  Result<void> run(const Call& call, const Environment& environment, Style style) override {
    if (remote_) {
      return remove_remote(call, environment, style, ref_);
    }
    const Removed removed = TRY(remove(call, environment, ref_));
    return environment.out.write(style.json ? as_json(removed) : for_people(removed));
  }

 private:
  std::string ref_;
  bool remote_ = false;
};

}  // namespace

std::unique_ptr<Command> make_rm_command() {
  return std::make_unique<RmCommand>();
}

}  // namespace weighbridge::cli
