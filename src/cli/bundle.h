#pragma once

#include <string>

#include "cli/command.h"

namespace weighbridge::cli {

// weighbridge export: a snapshot of the store as one file. (docs/cli.md)
// Confined to the thread that runs it.
class ExportCommand final : public Command {
 public:
  std::string_view name() const override { return "export"; }

  std::string_view summary() const override { return "Write a model of the store to one file"; }

  std::string_view example() const override;
  void declare(CLI::App& app) override;
  base::Result<void> run(const base::Call& call,
                         const Environment& environment,
                         Style style) override;

 private:
  std::string what_;
  std::string file_;
};

// weighbridge import: such a file into the store, proved. (docs/cli.md)
// Confined to the thread that runs it.
class ImportCommand final : public Command {
 public:
  std::string_view name() const override { return "import"; }

  std::string_view summary() const override { return "Put an exported model into the store"; }

  std::string_view example() const override;
  void declare(CLI::App& app) override;
  base::Result<void> run(const base::Call& call,
                         const Environment& environment,
                         Style style) override;

 private:
  std::string file_;
  std::string ref_;
};

}  // namespace weighbridge::cli
