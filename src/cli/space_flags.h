#pragma once

#include <string>

#include "base/result.h"
#include "cli/command.h"
#include "store/space.h"

namespace weighbridge::cli {

// "--rate": a size that a person wrote after this flag. kInvalid, naming it.
base::Result<std::uint64_t> size_of_flag(std::string_view flag, const std::string& text);

// The flags --quota and --floor of the commands that take or free space. (docs/cli.md)
// Confined to the thread that runs the command.
class SpaceFlags {
 public:
  void declare(CLI::App& app);

  bool given() const { return !quota_.empty() || !floor_.empty(); }

  // kInvalid for what is no size.
  base::Result<store::SpaceLimits> limits() const;

 private:
  std::string quota_;
  std::string floor_;
};

}  // namespace weighbridge::cli
