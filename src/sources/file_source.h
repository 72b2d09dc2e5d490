#pragma once

#include <memory>

#include "io/file_system.h"
#include "sources/source.h"

namespace weighbridge::sources {

// A local file or directory. Listing follows a link to a file and lists it as a file; it leaves out
// `.git`, `.cache`, `.weighbridge*` and the root's own seal, and refuses by name links to
// directories, devices, sockets, and names that cannot stand in a Snapshot. A file's validator is
// its device, inode and times: a file that changes while it is read is kConflict, never a signal.
//
// How it reads is its own choice: what stands in the page cache is copied, in steps small enough to
// be hashed while they are in the CPU's cache; what does not is read past it, straight from the
// disk into the sink's window; network and FUSE file systems get large reads. Nothing is mapped.
// `files` must outlive the source.
base::Result<std::unique_ptr<Source>> open_file_source(io::FileSystem& files,
                                                       const model::Ref& ref);

// What such a source says of a file's revision.
model::Validator validator_of(const io::FileInfo& info);

}  // namespace weighbridge::sources
