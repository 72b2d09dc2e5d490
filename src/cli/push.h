#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/registry_flags.h"

namespace weighbridge::cli {

// weighbridge push: a model into a registry, each file read and hashed once as its bytes leave.
// (docs/cli.md) Confined to the thread that runs it.
class PushCommand final : public Command {
 public:
  std::string_view name() const override { return "push"; }

  std::string_view summary() const override { return "Push a model to a registry"; }

  std::string_view example() const override;
  void declare(CLI::App& app) override;
  base::Result<void> run(const base::Call& call,
                         const Environment& environment,
                         Style style) override;

 private:
  std::string ref_;
  std::string to_;
  std::vector<std::string> mount_from_;
  RegistryFlags flags_;
};

}  // namespace weighbridge::cli
