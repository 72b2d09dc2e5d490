#include "base/version.h"

namespace weighbridge::base {

std::string_view version() {
  return WB_VERSION;
}

}  // namespace weighbridge::base
