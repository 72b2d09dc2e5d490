#include <algorithm>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/units.h"
#include "cli/report.h"
#include "cli/space_flags.h"
#include "cli/store_commands.h"

namespace weighbridge::cli {
namespace {

using base::Call;
using base::Result;

constexpr CommandText kText{
    "gc",
    "Free space: what no model needs, or the least recently used",
    "Example:\n"
    "  weighbridge gc --dry-run\n"
    "  weighbridge gc --quota 200GiB\n"
    "With a limit, models go too, the least recently used first, until it is kept; never what is\n"
    "pinned or in use. Without one only what no model needs goes."};

// How much must come free to keep to the limits.
Result<std::uint64_t> excess(store::Store& store, const store::SpaceLimits& limits) {
  const std::uint64_t free = TRY(store.home().files().volume(store.home().path())).free_bytes;
  std::uint64_t excess = limits.floor_bytes > free ? limits.floor_bytes - free : 0;
  if (limits.quota_bytes) {
    const std::uint64_t used = TRY(store.space().used_bytes());
    excess = std::max(excess, used > *limits.quota_bytes ? used - *limits.quota_bytes : 0);
  }
  return excess;
}

// What gc did, or would do.
struct Collected {
  store::Evicted evicted;
  std::uint64_t kept_bytes = 0;     // of blobs that other names keep on the disk
  std::uint64_t lacking_bytes = 0;  // to the limits
  bool dry_run = false;
};

Result<Collected> collect(const Call& call,
                          const Environment& environment,
                          const SpaceFlags& flags,
                          bool dry_run) {
  const store::SpaceLimits limits = TRY(flags.limits());
  const auto store = TRY(environment.open_store(limits));
  store::GcOptions options{.dry_run = dry_run};
  options.unnamed_only = !flags.given();
  if (flags.given()) {
    options.wanted_bytes = TRY(excess(*store, limits));
  }
  Collected collected{TRY(store->space().gc(call, options)), 0, 0, dry_run};
  for (const store::Evicted::Blob& blob : collected.evicted.blobs) {
    collected.kept_bytes += blob.foreign_links > 0 ? blob.bytes : 0;
  }
  const std::uint64_t wanted = options.wanted_bytes.value_or(0);
  collected.lacking_bytes = wanted - std::min(wanted, collected.evicted.freed_bytes);
  return collected;
}

std::string as_json(const Collected& collected) {
  return json_object([&](base::JsonWriter& json) {
    boolean_member(json, "dry_run", collected.dry_run);
    number_member(json, "freed_bytes", collected.evicted.freed_bytes);
    number_member(json, "kept_bytes", collected.kept_bytes);
    number_member(json, "lacking_bytes", collected.lacking_bytes);
    number_member(json, "passed_by", collected.evicted.passed_by);
    number_member(json, "leftovers", collected.evicted.leftovers);
    objects_member(json, "blobs", collected.evicted.blobs, [&](const auto& blob) {
      text_member(json, "root", blob.root.hex());
      number_member(json, "bytes", blob.bytes);
      number_member(json, "foreign_links", blob.foreign_links);
    });
  });
}

std::string for_people(const Collected& collected) {
  const store::Evicted& evicted = collected.evicted;
  std::string text = fmt::format("{} {} of {}\n",
                                 collected.dry_run ? "would free" : "freed",
                                 base::format_bytes(evicted.freed_bytes),
                                 counted(evicted.blobs.size(), "blob"));
  if (collected.kept_bytes > 0) {
    text += fmt::format("  {} more stay on the disk: hard links outside the store keep them\n",
                        base::format_bytes(collected.kept_bytes));
  }
  if (evicted.leftovers > 0) {
    text += fmt::format("  {} swept\n", counted(evicted.leftovers, "leftover"));
  }
  if (collected.lacking_bytes > 0) {
    text += fmt::format("  {} too little: the rest is pinned or in use ({})\n",
                        base::format_bytes(collected.lacking_bytes),
                        counted(evicted.passed_by, "blob"));
  }
  return text;
}

// Confined to the thread that runs it.
class GcCommand final : public Command {
 public:
  GcCommand() : Command(kText) {}

  void declare(CLI::App& app) override {
    app.add_flag("--dry-run", dry_run_, "Say what would go, and how much that would free");
    space_.declare(app);
  }

  Result<void> run(const Call& call, const Environment& environment, Style style) override {
    const Collected collected = TRY(collect(call, environment, space_, dry_run_));
    return environment.out.write(style.json ? as_json(collected) : for_people(collected));
  }

 private:
  bool dry_run_ = false;
  SpaceFlags space_;
};

}  // namespace

std::unique_ptr<Command> make_gc_command() {
  return std::make_unique<GcCommand>();
}

}  // namespace weighbridge::cli
