#pragma once

#include <string>

#include "cli/command.h"
#include "cli/proof_policy.h"

namespace weighbridge::cli {

// weighbridge inspect: a model's files, tensors, and how each file is proved; nothing is shown
// before its proof holds. (docs/cli.md)
// Confined to the thread that runs it.
class InspectCommand final : public Command {
 public:
  std::string_view name() const override { return "inspect"; }

  std::string_view summary() const override { return "List files and tensors"; }

  std::string_view example() const override;
  void declare(CLI::App& app) override;
  base::Result<void> run(const base::Call& call,
                         const Environment& environment,
                         Style style) override;

 private:
  std::string ref_;
  bool offline_ = false;
  ProofPolicy policy_;
};

}  // namespace weighbridge::cli
