#pragma once

#include <cstddef>
#include <functional>

#include "base/call.h"
#include "base/result.h"

namespace weighbridge::pack {

// Does `work` for 0 to `count` - 1, in that order, on `threads` threads at once. The first failure
// stops the others, and is returned when all have ended.
base::Result<void> in_parallel(
    const base::Call& call,
    std::size_t count,
    std::size_t threads,
    const std::function<base::Result<void>(const base::Call& call, std::size_t index)>& work);

}  // namespace weighbridge::pack
