#pragma once

#include <string>

#include "cli/command.h"

namespace weighbridge::cli {

// weighbridge verify: reads every file whole and compares it with the seal or the pin; goes on
// after one that fails, and names each. (docs/cli.md) Confined to the thread that runs it.
class VerifyCommand final : public Command {
 public:
  std::string_view name() const override { return "verify"; }

  std::string_view summary() const override {
    return "Compare every byte with the seal or the pin";
  }

  std::string_view example() const override;
  void declare(CLI::App& app) override;
  base::Result<void> run(const base::Call& call,
                         const Environment& environment,
                         Style style) override;

 private:
  std::string ref_;
  bool offline_ = false;
  bool explain_ = false;
};

}  // namespace weighbridge::cli
