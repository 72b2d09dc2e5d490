#pragma once

#include <string>
#include <string_view>

#include "base/call.h"
#include "cli/open_ref.h"
#include "sources/source.h"

namespace weighbridge::cli {

// A reference that must be a directory of this machine; `done`: "sealed", what is to be done with
// it, for the error. kInvalid for one that is elsewhere; else as open_ref().
base::Result<OpenedRef> open_local_directory(const Environment& environment,
                                             std::string_view text,
                                             std::string_view done);

// Its files. kInvalid for a single file, kNotFound where there is none.
base::Result<sources::Listing> listing_of(const base::Call& call,
                                          const OpenedRef& opened,
                                          std::string_view done);

// The path of a file in it.
std::string path_in(const OpenedRef& opened, std::string_view name);

}  // namespace weighbridge::cli
