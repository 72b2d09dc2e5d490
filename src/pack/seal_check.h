#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/result.h"
#include "model/snapshot.h"

namespace weighbridge::pack {

// Does a seal describe exactly these files, with the sizes and digests that are known of them?
// kCorrupt, naming the first file that it contradicts, `seal_name` being its own. A seal that does
// not parse passes: who parses it says what is wrong. `files` are in byte order of paths.
base::Result<void> check_seal(std::span<const std::byte> seal,
                              std::span<const model::File> files,
                              const std::string& seal_name);

}  // namespace weighbridge::pack
