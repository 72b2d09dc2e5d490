#pragma once

#include <string>
#include <string_view>

#include "cli/command.h"

namespace weighbridge::cli {

// What `ls --remote oci://host` (its repositories) and `ls --remote oci://host/repository` (its
// tags) print. kInvalid: it names something else. (docs/cli.md)
base::Result<void> list_remote(const base::Call& call,
                               const Environment& environment,
                               Style style,
                               std::string_view text);

// What `rm --remote oci://host/repository:tag` and `...@digest` do and print. (docs/cli.md)
base::Result<void> remove_remote(const base::Call& call,
                                 const Environment& environment,
                                 Style style,
                                 std::string_view text);

}  // namespace weighbridge::cli
