#pragma once

#include <string>

#include "cli/command.h"

namespace weighbridge::cli {

// weighbridge diff: two models compared by what vouches for them: files, tensors, and the bytes
// that a pull of the second saves where the first is. (docs/cli.md)
// Confined to the thread that runs it.
class DiffCommand final : public Command {
 public:
  std::string_view name() const override { return "diff"; }

  std::string_view summary() const override { return "Compare two models, file by file"; }

  std::string_view example() const override;
  void declare(CLI::App& app) override;
  base::Result<void> run(const base::Call& call,
                         const Environment& environment,
                         Style style) override;

 private:
  std::string old_;
  std::string new_;
};

}  // namespace weighbridge::cli
