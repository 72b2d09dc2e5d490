#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace weighbridge::cli {

// weighbridge lock: writes down which content each Ref is to be. (docs/cli.md)
// Confined to the thread that runs it.
class LockCommand final : public Command {
 public:
  std::string_view name() const override { return "lock"; }

  std::string_view summary() const override { return "Write down what was pulled, to hold to it"; }

  std::string_view example() const override;
  void declare(CLI::App& app) override;
  base::Result<void> run(const base::Call& call,
                         const Environment& environment,
                         Style style) override;

 private:
  std::vector<std::string> refs_;
  std::string file_;
};

}  // namespace weighbridge::cli
