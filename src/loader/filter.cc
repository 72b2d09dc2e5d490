#include "loader/filter.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace weighbridge::loader {

using base::Code;
using base::Error;
using base::Result;

bool Filter::wants(std::string_view name) {
  bool wanted = patterns_.empty();
  for (std::size_t i = 0; i < patterns_.size(); ++i) {
    if (base::glob_match(patterns_[i], name)) {
      wanted = true;
      used_[i] = true;
    }
  }
  return wanted;
}

Result<void> Filter::all_used(const std::string& origin) const {
  const auto unused = std::find(used_.begin(), used_.end(), false);
  if (unused == used_.end()) {
    return {};
  }
  const auto i = static_cast<std::size_t>(unused - used_.begin());
  return Error(Code::kNotFound,
               fmt::format("no tensor matches '{}'", base::printable(patterns_[i])))
      .in_file(origin)
      .with_hint("`weighbridge inspect` lists the names.");
}

}  // namespace weighbridge::loader
