#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "io/file_system.h"

namespace weighbridge::io {

// How paths are followed. The kernel does it at once where it has openat2; else it is done name by
// name, which is as safe and slower.
enum class Follow : std::uint8_t { kAsTheKernelCan, kNameByName };

// A directory as a file system of its own, for those who write where others may write too: its
// paths are relative to it ("." is the directory itself), and it stays the same one whatever
// becomes of its name. No path leads out of it: kInvalid for ".." and absolute ones, and kDenied
// where a symbolic link stands, be it as a directory or at the end; info() says of a link at the
// end that it is one, remove() removes and rename() replaces the link itself. Errors name the path
// as it would be seen from outside. kNotFound, kDenied if the directory cannot be opened, itself by
// a path that may lead through links. Thread-safe.
base::Result<std::unique_ptr<FileSystem>> open_beneath(const std::string& directory,
                                                       Follow follow = Follow::kAsTheKernelCan);

}  // namespace weighbridge::io
