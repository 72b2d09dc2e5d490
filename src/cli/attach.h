#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/registry_flags.h"

namespace weighbridge::cli {

// weighbridge attach: a file beside an artifact in a registry, that belongs to it. (docs/cli.md)
// Confined to the thread that runs it.
class AttachCommand final : public Command {
 public:
  std::string_view name() const override { return "attach"; }

  std::string_view summary() const override { return "Attach a file to an artifact"; }

  std::string_view example() const override;
  void declare(CLI::App& app) override;
  base::Result<void> run(const base::Call& call,
                         const Environment& environment,
                         Style style) override;

 private:
  std::string ref_;
  std::string file_;
  std::string type_;
  std::string media_type_ = "application/octet-stream";
  std::vector<std::string> annotations_;
  RegistryFlags flags_;
};

}  // namespace weighbridge::cli
