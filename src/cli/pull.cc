#include "cli/pull.h"

#include <memory>
#include <optional>
#include <utility>

#include <CLI/CLI.hpp>

#include "cli/lock_file.h"
#include "cli/open_ref.h"
#include "cli/progress.h"
#include "cli/pull_into.h"
#include "cli/pull_progress.h"
#include "formats/lock.h"
#include "transfer/pull.h"

namespace weighbridge::cli {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

std::string_view PullCommand::example() const {
  return "Example:\n"
         "  weighbridge pull https://models.example/qwen/ --filter '*.json'\n"
         "  weighbridge pull https://models.example/qwen/ ./qwen\n"
         "Prints the directory that holds the files, which are for reading. What the store has is\n"
         "not fetched again, and what was interrupted goes on where it stopped.";
}

void PullCommand::declare(CLI::App& app) {
  app.add_option("REF", ref_, "Directory, file or URL; a pin may follow after '#'")->required();
  app.add_option("DIR", directory_, "Write into this directory, and not into the store");
  app.add_option("--filter", filters_, "Only files whose path matches; may be repeated")
      ->type_name("GLOB")
      ->allow_extra_args(false);
  space_.declare(app);
  declare_offline(app, offline_);
  app.add_flag("--locked", locked_, "Take what weighbridge.lock says, and nothing else");
  app.add_option("--lock-file", lock_, "Instead of ./weighbridge.lock")->type_name("FILE");
}

Result<PullReport> PullCommand::pull(const Call& call,
                                     const Environment& environment,
                                     Style style,
                                     const model::Ref& ref,
                                     const std::optional<hash::Root>& content_id) const {
  const base::TimePoint began = call.clock().now();
  const store::SpaceLimits limits = TRY(space_.limits());
  const auto store = TRY(environment.open_store(limits));
  std::unique_ptr<sources::Source> origin;
  if (ref.scheme() != model::Scheme::kName) {
    origin = offline_ ? TRY(environment.open_source(ref))
                      : TRY(open_to_pull(call, environment, style, ref, store->home().path()));
  }
  PullReport report;
  {
    transfer::PullProgress progress;
    const ProgressDisplay display(
        call.clock(),
        "pulling",
        [&] { return sample_of(progress); },
        progress.transfer.notes,
        environment.err,
        style);
    report.pulled = TRY(transfer::pull(call,
                                       {origin.get(), environment.transfer, *store},
                                       ref,
                                       {filters_, offline_, content_id},
                                       progress));
  }
  report.ref = ref.printable();
  report.took = call.clock().now() - began;
  return report;
}

// Without a seal only the whole says whether it is what was locked.
Result<void> PullCommand::check_can_hold(const LockedRef& locked) const {
  if (locked.entry.seal_sha256 || (filters_.empty() && directory_.empty())) {
    return {};
  }
  return Error(Code::kUnsupported,
               "it was locked without a seal, so only all of it can be held to the lock")
      .in_file(locked.entry.ref)
      .with_hint("Pull it without --filter and without DIR, or seal it where it comes from.");
}

Result<void> PullCommand::run(const Call& call, const Environment& environment, Style style) {
  model::Ref ref = TRY(model::Ref::parse(ref_));
  std::optional<LockedRef> held_to;
  if (locked_) {
    const std::string path = lock_.empty() ? std::string(formats::kLockName) : lock_;
    held_to = TRY(locked(TRY(read_lock(environment.files, path)), ref));
    ref = held_to->ref;
    TRY(check_can_hold(*held_to));
  }
  // With a seal, that is what the Ref is held to; a part of the files is other content.
  const auto content_id =
      held_to && filters_.empty() ? std::optional(held_to->entry.content_id) : std::nullopt;
  const PullReport report =
      directory_.empty()
          ? TRY(pull(call, environment, style, ref, content_id))
          : TRY(pull_into_directory(
                call, environment, style, {ref, directory_, filters_, offline_, content_id}));
  if (style.json) {
    return environment.out.write(pull_json(report));
  }
  TRY(environment.out.write(report.pulled.directory + "\n"));
  return style.quiet ? Result<void>() : environment.err.write(pull_text(report));
}

}  // namespace weighbridge::cli
