#pragma once

#include <string>

#include "cli/command.h"

namespace weighbridge::cli {

// weighbridge seal: describes a directory in weighbridge.seal, which proves its files wherever they
// are read from. (docs/cli.md)
// Confined to the thread that runs it.
class SealCommand final : public Command {
 public:
  std::string_view name() const override { return "seal"; }

  std::string_view summary() const override {
    return "Describe a directory in DIR/weighbridge.seal";
  }

  std::string_view example() const override;
  void declare(CLI::App& app) override;
  base::Result<void> run(const base::Call& call,
                         const Environment& environment,
                         Style style) override;

 private:
  std::string directory_;
};

}  // namespace weighbridge::cli
