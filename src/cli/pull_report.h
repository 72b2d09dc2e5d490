#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "transfer/pull.h"

namespace weighbridge::cli {

// A finished pull, as it is reported. A value; Thread-compatible.
struct PullReport {
  std::string ref;
  transfer::Pulled pulled;
  // Of a pull into a directory: what an earlier one brought and this revision lacks.
  std::vector<std::string> removed;
  std::vector<std::string> left;
  base::Duration took{};
};

// One object and a newline (docs/cli.md).
std::string pull_json(const PullReport& report);
// Beside the path, which is all that goes to standard output.
std::string pull_text(const PullReport& report);

}  // namespace weighbridge::cli
