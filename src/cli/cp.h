#pragma once

#include <string>

#include "cli/command.h"

namespace weighbridge::cli {

// weighbridge cp: an artifact from one registry or image layout to another, byte for byte.
// (docs/cli.md) Confined to the thread that runs it.
class CpCommand final : public Command {
 public:
  std::string_view name() const override { return "cp"; }

  std::string_view summary() const override {
    return "Copy an artifact between registries and layouts";
  }

  std::string_view example() const override;
  void declare(CLI::App& app) override;
  base::Result<void> run(const base::Call& call,
                         const Environment& environment,
                         Style style) override;

 private:
  std::string from_;
  std::string to_;
};

}  // namespace weighbridge::cli
