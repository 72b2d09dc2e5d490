#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/lock_file.h"
#include "cli/pull_report.h"
#include "cli/space_flags.h"
#include "model/ref.h"

namespace weighbridge::cli {

// weighbridge pull: a model's files into the store, or a directory, proved, under their names.
// (docs/cli.md) Confined to the thread that runs it.
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
  base::Result<PullReport> pull(const base::Call& call,
                                const Environment& environment,
                                Style style,
                                const model::Ref& ref,
                                const std::optional<hash::Root>& content_id) const;
  base::Result<void> check_can_hold(const LockedRef& locked) const;

  std::string ref_;
  std::vector<std::string> filters_;
  SpaceFlags space_;
  bool offline_ = false;
  std::string directory_;
  bool locked_ = false;
  std::string lock_;
};

}  // namespace weighbridge::cli
