#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "io/file_system.h"
#include "store/store.h"

namespace weighbridge::cli {

// The Ref of the store that somebody means who types this: as it was pulled, or as `ls` prints it.
// kNotFound if there is none; kInvalid for what is no reference, and for a printed form that
// several have.
base::Result<store::StoredRef> find_stored_ref(store::Store& store, std::string_view text);

// The same kNotFound, where there is no store at all.
base::Error no_such_ref(std::string_view text);

// The path of an existing directory, absolute and without links in it, as adopted ones are kept;
// nothing for what is none.
std::optional<std::string> canonical_path(std::string_view text);

// Who holds a lock on this file: "process 4711 (python3)", or empty where the kernel does not say.
std::string lock_holders(io::FileSystem& files, const std::string& path);

}  // namespace weighbridge::cli
