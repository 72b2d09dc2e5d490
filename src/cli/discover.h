#pragma once

#include <string>

#include "cli/command.h"
#include "cli/registry_flags.h"

namespace weighbridge::cli {

// weighbridge discover: what is attached to an artifact in a registry. (docs/cli.md)
// Confined to the thread that runs it.
class DiscoverCommand final : public Command {
 public:
  std::string_view name() const override { return "discover"; }

  std::string_view summary() const override { return "List what is attached to an artifact"; }

  std::string_view example() const override;
  void declare(CLI::App& app) override;
  base::Result<void> run(const base::Call& call,
                         const Environment& environment,
                         Style style) override;

 private:
  std::string ref_;
  std::string type_;
  RegistryFlags flags_;
};

}  // namespace weighbridge::cli
