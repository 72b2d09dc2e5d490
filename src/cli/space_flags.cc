#include "cli/space_flags.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/units.h"

namespace weighbridge::cli {

base::Result<std::uint64_t> size_of_flag(std::string_view flag, const std::string& text) {
  const auto bytes = base::parse_bytes(text);
  if (!bytes) {
    return base::Error(base::Code::kInvalid, fmt::format("{}: a size is expected", flag))
        .with_hint(fmt::format("For example {} 200GiB; KiB, MiB, GiB and TiB are known.", flag));
  }
  return *bytes;
}

void SpaceFlags::declare(CLI::App& app) {
  app.add_option("--quota", quota_, "The store takes no more of the disk than this")
      ->type_name("SIZE");
  app.add_option("--floor", floor_, "So much of the disk stays free for others")->type_name("SIZE");
}

base::Result<store::SpaceLimits> SpaceFlags::limits() const {
  store::SpaceLimits limits;
  if (!quota_.empty()) {
    limits.quota_bytes = TRY(size_of_flag("--quota", quota_));
  }
  if (!floor_.empty()) {
    limits.floor_bytes = TRY(size_of_flag("--floor", floor_));
  }
  return limits;
}

}  // namespace weighbridge::cli
