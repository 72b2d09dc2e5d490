#include "store/scrub.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/pull_progress.h"
#include "cli/report.h"
#include "cli/space_flags.h"
#include "cli/store_commands.h"
#include "store/stock.h"
#include "transfer/pull.h"

namespace weighbridge::cli {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

constexpr CommandText kText{
    "scrub",
    "Read again and prove again what is on this machine",
    "Example:\n"
    "  weighbridge scrub --rate 100MiB\n"
    "A blob that rotted goes to quarantine and is fetched again for the models that need it; an\n"
    "adopted file that changed is not used any more."};

struct Done {
  store::Scrubbed scrubbed;
  store::AdoptedScrub adopted;
  std::vector<std::string> repaired;  // Refs that lost a file, and have it again
  std::vector<std::string> refs;      // that lost a file
  base::Duration took{};
};

// The Refs that consist of any of these.
std::vector<store::StoredRef> refs_with(const store::Stock& stock,
                                        const std::vector<hash::Root>& rotten) {
  const std::set<hash::Root> lost(rotten.begin(), rotten.end());
  std::vector<store::StoredRef> refs;
  for (const store::Holding& holding : stock.refs) {
    const auto& files = holding.files;
    const bool lost_one = files && std::ranges::any_of(*files, [&](const auto& file) {
                            return lost.contains(file.root);
                          });
    if (lost_one) {
      refs.push_back(holding.ref);
    }
  }
  return refs;
}

std::uint64_t bytes_to_read(const store::Stock& stock,
                            const std::vector<store::AdoptedDirectory>& adopted) {
  std::uint64_t bytes = stock.blob_bytes;
  for (const store::AdoptedDirectory& one : adopted) {
    for (const store::AdoptedFile& file : one.files) {
      bytes += file.withdrawn ? 0 : file.size;
    }
  }
  return bytes;
}

// Fetches again what of this Ref is missing now.
Result<void> repair(const Call& call,
                    const Environment& environment,
                    Style style,
                    store::Store& store,
                    const store::StoredRef& stored) {
  const model::Ref ref = TRY(model::Ref::parse(stored.record.ref));
  if (store::ref_file_name(ref) != stored.name) {
    return Error(Code::kDenied, "what is not printed of it is not kept");
  }
  const auto origin = TRY(environment.open_source(ref));
  transfer::PullProgress progress;
  const ProgressDisplay display(
      call.clock(),
      "pulling",
      [&] { return sample_of(progress); },
      progress.transfer.notes,
      environment.err,
      style);
  TRY(transfer::pull(call, {origin.get(), environment.transfer, store}, ref, {}, progress));
  return {};
}

Result<void> repair_all(const Call& call,
                        const Environment& environment,
                        Style style,
                        store::Store& store,
                        const std::vector<store::StoredRef>& refs,
                        Done& done) {
  for (const store::StoredRef& ref : refs) {
    const bool repaired = repair(call, environment, style, store, ref).ok();
    TRY(call.check());
    (repaired ? done.repaired : done.refs).push_back(ref.record.ref);
  }
  return {};
}

Result<Done> scrub(const Call& call,
                   const Environment& environment,
                   Style style,
                   std::optional<std::uint64_t> rate) {
  const base::TimePoint began = call.clock().now();
  const auto store = TRY(environment.open_store({}));
  // A snapshot that loses a file loses its list: what it consists of is to be read before.
  const store::Stock stock = TRY(store::take_stock(store->home(), store->space(), store->refs()));
  transfer::Progress progress;
  progress.wanted_bytes = bytes_to_read(stock, TRY(store->adopted().all()));
  const store::ScrubOptions options{rate,
                                    [&](std::uint64_t bytes) { progress.received_bytes += bytes; }};
  Done done;
  {
    const ProgressDisplay display(call.clock(), "scrubbing", progress, environment.err, style);
    done.scrubbed = TRY(store::scrub(call, store->home(), store->space(), store->blobs(), options));
    done.adopted =
        TRY(store::scrub_adopted(call, store->adopted(), store->home().files(), options));
  }
  const auto lost = refs_with(stock, done.scrubbed.rotten);
  TRY(repair_all(call, environment, style, *store, lost, done));
  done.took = call.clock().now() - began;
  return done;
}

void paths_member(base::JsonWriter& json,
                  std::string_view key,
                  const std::vector<std::string>& paths) {
  json.key(key);
  json.begin_array();
  for (const std::string& path : paths) {
    json.text(path);
  }
  json.end_array();
}

std::string as_json(const Done& done) {
  return json_object([&](base::JsonWriter& json) {
    number_member(json, "blobs", done.scrubbed.blobs);
    number_member(json, "bytes", done.scrubbed.bytes + done.adopted.bytes);
    number_member(json, "adopted_files", done.adopted.files);
    json.key("rotten");
    json.begin_array();
    for (const hash::Root& root : done.scrubbed.rotten) {
      json.text(root.hex());
    }
    json.end_array();
    paths_member(json, "repaired", done.repaired);
    paths_member(json, "refs", done.refs);
    paths_member(json, "withdrawn", done.adopted.withdrawn);
    paths_member(json, "unreachable", done.adopted.unreachable);
    json.key("seconds");
    json.decimal(seconds(done.took));
  });
}

std::string for_people(const Done& done) {
  std::string text = fmt::format("proved {} and {}, {}\n",
                                 counted(done.scrubbed.blobs, "blob"),
                                 counted(done.adopted.files, "adopted file"),
                                 bytes_in(done.scrubbed.bytes + done.adopted.bytes, done.took));
  for (const hash::Root& root : done.scrubbed.rotten) {
    text += fmt::format("  ROTTEN {}, now in quarantine\n", root.hex());
  }
  for (const std::string& ref : done.repaired) {
    text += fmt::format("  fetched again: {}\n", base::printable(ref));
  }
  for (const std::string& ref : done.refs) {
    text += fmt::format("  pull again: {}\n", base::printable(ref));
  }
  for (const std::string& path : done.adopted.withdrawn) {
    text += fmt::format("  changed, not used any more: {}\n", base::printable(path));
  }
  for (const std::string& path : done.adopted.unreachable) {
    text += fmt::format("  not there just now: {}\n", base::printable(path));
  }
  return text;
}

Result<void> verdict(const Done& done) {
  if (done.refs.empty()) {
    return {};
  }
  return Error(Code::kCorrupt,
               fmt::format("{} rotted, and {} could not be fetched again",
                           counted(done.scrubbed.rotten.size(), "blob"),
                           counted(done.refs.size(), "model")))
      .with_hint(fmt::format("`weighbridge pull` again: {}", fmt::join(done.refs, ", ")));
}

// Confined to the thread that runs it.
class ScrubCommand final : public Command {
 public:
  ScrubCommand() : Command(kText) {}

  void declare(CLI::App& app) override {
    app.add_option("--rate", rate_, "Read no more than this in a second")->type_name("SIZE");
  }

  Result<void> run(const Call& call, const Environment& environment, Style style) override {
    std::optional<std::uint64_t> rate;
    if (!rate_.empty()) {
      rate = TRY(size_of_flag("--rate", rate_));
    }
    if (rate == 0) {
      return Error(Code::kInvalid, "--rate: nothing can be read at 0 bytes a second");
    }
    const Done done = TRY(scrub(call, environment, style, rate));
    TRY(environment.out.write(style.json ? as_json(done) : for_people(done)));
    return verdict(done);
  }

 private:
  std::string rate_;
};

}  // namespace

std::unique_ptr<Command> make_scrub_command() {
  return std::make_unique<ScrubCommand>();
}

}  // namespace weighbridge::cli
