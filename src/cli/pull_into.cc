#include "cli/pull_into.h"

#include <memory>
#include <utility>

#include "cli/progress.h"
#include "io/beneath.h"
#include "transfer/pull_into.h"
#include "transfer/store_source.h"

namespace weighbridge::cli {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

// Where the bytes come from: the origin, and the store where that is to be all there is.
struct Opened {
  std::unique_ptr<store::Store> store;
  std::unique_ptr<sources::Source> origin;
  std::unique_ptr<sources::Source> through_store;
  transfer::Resolved resolved;

  sources::Source& source() const { return through_store ? *through_store : *origin; }
};

Result<Opened> open(const Call& call, const Environment& environment, const PullIntoWish& wish) {
  const bool only_store = wish.offline || wish.ref.scheme() == model::Scheme::kName;
  Opened opened;
  opened.store = environment.find_store ? TRY(environment.find_store({})) : nullptr;
  if (only_store && opened.store == nullptr) {
    return Error(Code::kNotFound, "there is no store on this machine yet")
        .in_file(wish.ref.printable());
  }
  if (wish.ref.scheme() != model::Scheme::kName) {
    opened.origin = TRY(environment.open_source(wish.ref));
  }
  if (opened.store == nullptr) {
    opened.resolved =
        TRY(transfer::resolve_at_origin(call, *opened.origin, wish.ref, wish.filters));
    return opened;
  }
  opened.resolved =
      TRY(transfer::resolve_for_pull(call,
                                     {opened.origin.get(), environment.transfer, *opened.store},
                                     wish.ref,
                                     {.filters = wish.filters, .offline = wish.offline}));
  if (only_store) {
    opened.through_store = TRY(transfer::StoreSource::open(
        *opened.store, opened.origin.get(), wish.ref, {.offline = wish.offline}));
  }
  return opened;
}

}  // namespace

Result<PullReport> pull_into_directory(const Call& call,
                                       const Environment& environment,
                                       Style style,
                                       const PullIntoWish& wish) {
  const base::TimePoint began = call.clock().now();
  const Opened opened = TRY(open(call, environment, wish));
  const auto made = environment.files.make_directory(wish.directory);
  if (!made.ok() && made.error().code() != Code::kExists) {
    return made.error().copy();
  }
  const auto directory = TRY(io::open_beneath(wish.directory));
  transfer::PulledInto into;
  {
    transfer::PullProgress progress;
    const ProgressDisplay display(
        call.clock(), "pulling", progress.transfer, environment.err, style);
    into = TRY(transfer::pull_into(
        call,
        {opened.source(), environment.transfer, *directory, opened.store.get()},
        opened.resolved,
        {wish.filters.empty(), wish.filters.empty() ? wish.content_id : std::nullopt},
        progress));
  }
  PullReport report;
  report.ref = wish.ref.printable();
  report.pulled = {.directory = wish.directory,
                   .content_id = into.content_id,
                   .seal_sha256 = into.seal_sha256,
                   .trust = into.trust,
                   .files = into.files,
                   .bytes = into.bytes,
                   .fetched_bytes = into.fetched_bytes,
                   .copied_bytes = into.copied_bytes,
                   .present_bytes = into.present_bytes};
  report.removed = std::move(into.removed);
  report.left = std::move(into.left);
  report.took = call.clock().now() - began;
  return report;
}

}  // namespace weighbridge::cli
