#pragma once

#include "base/range.h"

namespace weighbridge::io {

// What the kernel says of an open file beyond POSIX. Behind OpenFile::is_cached and is_remote.

// Looks at one page in each MiB of `range`; true if all stand in the page cache, or if the kernel
// does not say. Neither reads nor reads ahead.
bool looks_cached(int descriptor, base::Range range);

// On NFS, SMB, Ceph, Lustre, 9p, FUSE and the like?
bool lies_far_away(int descriptor);

}  // namespace weighbridge::io
