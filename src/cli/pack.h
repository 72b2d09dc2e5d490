#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace weighbridge::cli {

// weighbridge init: writes DIR/weighbridge.yaml with what was found out about a model, to be
// completed by hand. (docs/cli.md) Confined to the thread that runs it.
class InitCommand final : public Command {
 public:
  std::string_view name() const override { return "init"; }

  std::string_view summary() const override {
    return "Write DIR/weighbridge.yaml, which says what the files do not";
  }

  std::string_view example() const override;
  void declare(CLI::App& app) override;
  base::Result<void> run(const base::Call& call,
                         const Environment& environment,
                         Style style) override;

 private:
  std::string directory_;
  bool force_ = false;
};

// weighbridge pack: a directory as an OCI artifact, in an image layout. (docs/cli.md)
// Confined to the thread that runs it.
class PackCommand final : public Command {
 public:
  std::string_view name() const override { return "pack"; }

  std::string_view summary() const override { return "Make an OCI artifact of a directory"; }

  std::string_view example() const override;
  void declare(CLI::App& app) override;
  base::Result<void> run(const base::Call& call,
                         const Environment& environment,
                         Style style) override;

 private:
  std::string directory_;
  std::vector<std::string> to_;  // a kind and a place
  std::string tag_;
};

}  // namespace weighbridge::cli
