#pragma once

#include <string_view>

namespace weighbridge::base {

// Prints the failed condition with its place and aborts. For our own defects only: bytes from
// outside never reach a check, they become an Error.
[[noreturn]] void check_failed(const char* condition,
                               const char* file,
                               int line,
                               std::string_view message);

}  // namespace weighbridge::base

// Always on, in every build.
#define WB_CHECK(condition, message)                                              \
  do {                                                                            \
    if (!(condition)) [[unlikely]] {                                              \
      ::weighbridge::base::check_failed(#condition, __FILE__, __LINE__, message); \
    }                                                                             \
  } while (false)
