#pragma once

#include "base/range.h"

namespace weighbridge::io {

// What the kernel says of an open file beyond POSIX. Behind OpenFile::is_cached, is_remote
// and tells_changes.

// Looks at one page in each MiB of `range`; true if all stand in the page cache, or if the kernel
// does not say. Neither reads nor reads ahead.
bool looks_cached(int descriptor, base::Range range);

// On NFS, SMB, Ceph, Lustre, 9p, FUSE and the like?
bool lies_far_away(int descriptor);

// Does every later write move the times of this file? Not in a file system that lives in memory: a
// write through a mapping leaves them as they are. And not while pages wait to be written back:
// they can be written to again through a mapping before that, under the times they have.
bool moves_times(int descriptor);

}  // namespace weighbridge::io
