#pragma once

#include <string>

#include "base/result.h"
#include "formats/lock.h"
#include "io/file_system.h"
#include "model/ref.h"

namespace weighbridge::cli {

// The lock file at `path`. kNotFound if there is none.
base::Result<formats::Lock> read_lock(io::FileSystem& files, const std::string& path);

// What a Ref is to be read as where a lock is to be obeyed.
struct LockedRef {
  model::Ref ref;  // with the seal pinned, where the lock names one
  formats::LockEntry entry;
};

// kNotFound: the lock does not have it, or has one of which something is hidden.
base::Result<LockedRef> locked(const formats::Lock& lock, const model::Ref& ref);

}  // namespace weighbridge::cli
