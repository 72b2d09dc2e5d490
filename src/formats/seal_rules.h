#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/seal.h"

namespace weighbridge::formats {

// What the format demands of one file, whoever made it: the reader and the writer hold it to the
// same rules, so what one accepts the other does. kInvalid, naming the path.
base::Result<void> check_sealed_file(const SealedFile& file);

// The order of paths: strictly ascending, and no file that is a directory of another.
// Stores borrows of the paths it is given, which the caller keeps where they are. Confined.
class PathOrder {
 public:
  // kInvalid if `path` may not follow those before.
  base::Result<void> next(std::string_view path);

 private:
  // The files before whose whole text begins the last path, shortest first; the last path is last.
  std::vector<std::string_view> beginnings_;
};

}  // namespace weighbridge::formats
