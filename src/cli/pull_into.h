#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/call.h"
#include "cli/command.h"
#include "cli/pull_report.h"
#include "hash/digest.h"
#include "model/ref.h"

namespace weighbridge::cli {

// What is to be pulled into a directory.
struct PullIntoWish {
  const model::Ref& ref;
  std::string directory;  // made if it is missing
  const std::vector<std::string>& filters;
  bool offline = false;
  // What it must be, if a lock says so.
  std::optional<hash::Root> content_id = std::nullopt;
};

// weighbridge pull REF DIR. As transfer::pull_into; without a store, none is made.
base::Result<PullReport> pull_into_directory(const base::Call& call,
                                             const Environment& environment,
                                             Style style,
                                             const PullIntoWish& wish);

}  // namespace weighbridge::cli
