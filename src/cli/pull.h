#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace weighbridge::cli {

// weighbridge pull: a model's files into the store, proved, under their names. (docs/cli.md)
// Confined to the thread that runs it.
class PullCommand final : public Command {
 public:
  std::string_view name() const override { return "pull"; }

  std::string_view summary() const override { return "Put a model into the store, proved"; }

  std::string_view example() const override;
  void declare(CLI::App& app) override;
  base::Result<void> run(const base::Call& call,
                         const Environment& environment,
                         Style style) override;

 private:
  std::string ref_;
  std::vector<std::string> filters_;
  std::string quota_;
  bool offline_ = false;
};

}  // namespace weighbridge::cli
