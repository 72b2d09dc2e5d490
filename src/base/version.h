#pragma once

#include <string_view>

namespace weighbridge::base {

// The version of the project this was built from, as CMakeLists.txt names it: "0.1.0".
std::string_view version();

}  // namespace weighbridge::base
