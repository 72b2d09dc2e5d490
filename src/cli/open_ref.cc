#include "cli/open_ref.h"

#include <utility>

#include <CLI/CLI.hpp>

#include "cli/progress.h"
#include "pack/oci_source.h"
#include "pack/unpacked_source.h"
#include "transfer/store_source.h"

namespace weighbridge::cli {

using base::Code;
using base::Error;
using base::Result;

Result<OpenedRef> open_ref(const Environment& environment, std::string_view text) {
  model::Ref ref = TRY(model::Ref::parse(text));
  auto source = TRY(environment.open_source(ref));
  return OpenedRef{std::move(ref), nullptr, nullptr, std::move(source)};
}

Result<std::unique_ptr<sources::Source>> open_to_pull(const base::Call& call,
                                                      const Environment& environment,
                                                      Style style,
                                                      const model::Ref& ref,
                                                      const std::string& home) {
  auto source = TRY(environment.open_source(ref));
  auto* const artifact = dynamic_cast<pack::ArtifactSource*>(source.get());
  if (artifact == nullptr) {
    return source;
  }
  (void)source.release();
  transfer::Progress progress;
  const ProgressDisplay display(call.clock(), "unpacking", progress, environment.err, style);
  return pack::unpack_archives(call,
                               std::unique_ptr<pack::ArtifactSource>(artifact),
                               {environment.files, home + "/unpacking"},
                               progress);
}

void declare_offline(CLI::App& app, bool& offline) {
  app.add_flag("--offline", offline, "Ask nobody: what the store has is all there is");
}

Result<OpenedRef> open_ref_through_store(const Environment& environment,
                                         std::string_view text,
                                         bool offline) {
  model::Ref ref = TRY(model::Ref::parse(text));
  if (ref.scheme() == model::Scheme::kFile) {
    return open_ref(environment, text);
  }
  const bool needs_store = offline || ref.scheme() == model::Scheme::kName;
  auto found = environment.find_store ? environment.find_store({})
                                      : Result<std::unique_ptr<store::Store>>(nullptr);
  if (needs_store && !found.ok()) {
    return std::move(found).error();
  }
  // A store that cannot be used is no reason not to read what is elsewhere.
  std::unique_ptr<store::Store> store = found.ok() ? std::move(found).value() : nullptr;
  if (store == nullptr) {
    return needs_store ? Error(Code::kNotFound, "there is no store on this machine yet")
                             .in_file(ref.printable())
                             .with_hint("`weighbridge pull` makes one; a path can begin with ./")
                       : open_ref(environment, text);
  }
  OpenedRef opened{std::move(ref), std::move(store), nullptr, nullptr};
  if (opened.ref.scheme() != model::Scheme::kName) {
    opened.origin = TRY(environment.open_source(opened.ref));
  }
  opened.source = TRY(transfer::StoreSource::open(
      *opened.store, opened.origin.get(), opened.ref, {.offline = offline}));
  return opened;
}

}  // namespace weighbridge::cli
