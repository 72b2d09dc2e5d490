#pragma once

#include <string>

#include "cli/command.h"
#include "cli/registry_flags.h"

namespace weighbridge::cli {

// weighbridge tag: another name for what stands in a repository or in the store. (docs/cli.md)
// Confined to the thread that runs it.
class TagCommand final : public Command {
 public:
  std::string_view name() const override { return "tag"; }

  std::string_view summary() const override { return "Give an artifact or a model another tag"; }

  std::string_view example() const override;
  void declare(CLI::App& app) override;
  base::Result<void> run(const base::Call& call,
                         const Environment& environment,
                         Style style) override;

 private:
  std::string ref_;
  std::string new_;
  RegistryFlags flags_;
};

}  // namespace weighbridge::cli
