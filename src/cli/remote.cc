#include "cli/remote.h"

#include <random>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/report.h"
#include "model/ref.h"
#include "pack/oci_source.h"
#include "sync/retry.h"

namespace weighbridge::cli {

using base::Call;
using base::Error;
using base::Result;

bool is_remote(std::string_view text) {
  return text.starts_with("oci://");
}

Result<Remote> open_remote(const Environment& environment,
                           std::string_view text,
                           const RegistryFlags& flags) {
  const model::Ref ref = TRY(model::Ref::parse(text));
  if (ref.scheme() != model::Scheme::kOci) {
    return Error(base::Code::kInvalid, "this is no artifact in a registry")
        .in_file(ref.printable())
        .with_hint("It is written oci://host/repository:tag.");
  }
  auto reference = TRY(pack::oci_reference(ref));
  registry::Registries* const registries = TRY(flags.open(environment, reference.host));
  registry::Client* const client = TRY(registries->at(reference.host));
  return Remote{std::move(reference), client};
}

Result<void> persistently(const Call& call,
                          const Environment& environment,
                          Style style,
                          const std::function<Result<void>()>& once) {
  sync::RetryPolicy policy;
  policy.on_wait = [&](const Error& error, unsigned tries, base::Duration pause) {
    if (!style.quiet && !style.json) {
      (void)environment.err.write(fmt::format("  try {} failed: {}; again in {:.1f} s\n",
                                              tries,
                                              base::printable(error.message(), 1024),
                                              seconds(pause)));
    }
  };
  return sync::Retry(std::move(policy), sync::seeded_random(std::random_device{}()))
      .run(call, once);
}

}  // namespace weighbridge::cli
