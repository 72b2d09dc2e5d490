#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/proof_policy.h"

namespace weighbridge::cli {

// weighbridge load: a model's tensors into memory, every byte proved. (docs/cli.md)
// Confined to the thread that runs it.
class LoadCommand final : public Command {
 public:
  std::string_view name() const override { return "load"; }

  std::string_view summary() const override { return "Load tensors into memory, proved"; }

  std::string_view example() const override;
  void declare(CLI::App& app) override;
  base::Result<void> run(const base::Call& call,
                         const Environment& environment,
                         Style style) override;

 private:
  std::string ref_;
  bool offline_ = false;
  bool explain_ = false;
  std::vector<std::string> filters_;
  std::string memory_;
  bool digests_ = false;
  ProofPolicy policy_;
};

}  // namespace weighbridge::cli
