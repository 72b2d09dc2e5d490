#pragma once

#include <memory>

#include "io/file_system.h"
#include "sources/source.h"

namespace weighbridge::sources {

// A local file or directory. Listing follows a link to a file and lists it as a file; it leaves out
// `.git`, `.cache`, `.weighbridge*` and the root's own seal, and refuses by name links to
// directories, devices, sockets, and names that cannot stand in a Snapshot. A file's validator is
// its inode, size and times: a file that changes while it is read is kConflict, never a signal.
// `files` must outlive the source.
base::Result<std::unique_ptr<Source>> open_file_source(io::FileSystem& files,
                                                       const model::Ref& ref);

}  // namespace weighbridge::sources
