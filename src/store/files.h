#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "io/file_system.h"

namespace weighbridge::store {

// What the store does again and again with files that others may take away meanwhile.

// Absent is as good as removed.
base::Result<void> remove_if_there(io::FileSystem& files, const std::string& path);

// A directory with all it holds; absent is as good.
base::Result<void> remove_tree(io::FileSystem& files, const std::string& directory);

// The entries of a directory; none if it is not there.
base::Result<std::vector<io::DirectoryEntry>> list_if_there(io::FileSystem& files,
                                                            const std::string& path);

using VisitFile =
    std::function<base::Result<void>(const std::string& path, const io::FileInfo& info)>;

// Calls `visit` for every file below `directory`, however deep; a missing directory has none, and
// what vanishes meanwhile is passed over, as are temporary files. Links are not followed.
base::Result<void> each_file(io::FileSystem& files,
                             const std::string& directory,
                             const VisitFile& visit);

// Fills `into`; kCorrupt if the file ends before.
base::Result<void> read_exactly(io::OpenFile& file,
                                std::uint64_t offset,
                                std::span<std::byte> into);

// Waits for the lock on an open file, looking again every few milliseconds: others hold these for
// moments only. kTimedOut, kCancelled as the call says.
base::Result<void> wait_for_lock(const base::Call& call, io::OpenFile& file, io::Lock kind);

}  // namespace weighbridge::store
