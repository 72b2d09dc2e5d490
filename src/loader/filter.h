#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace weighbridge::loader {

// The tensors that a list of patterns wants: all, if there is none. Confined to one thread.
class Filter {
 public:
  explicit Filter(std::vector<std::string> patterns)
      : patterns_(std::move(patterns)), used_(patterns_.size()) {}

  bool wants(std::string_view name);

  // A pattern that matches nothing is a mistake, and half a model looks whole: kNotFound.
  base::Result<void> all_used(const std::string& origin) const;

 private:
  const std::vector<std::string> patterns_;
  std::vector<bool> used_;
};

}  // namespace weighbridge::loader
