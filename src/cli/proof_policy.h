#pragma once

#include <string>

#include "cli/command.h"
#include "model/proof.h"

namespace weighbridge::cli {

// The flags --verify and --require-proof of the commands that read tensors. (docs/cli.md)
// Confined to the thread that runs the command.
class ProofPolicy {
 public:
  void declare(CLI::App& app);

  // Before the command reads anything.
  void apply(const Environment& environment) const;

  // Is every byte to be hashed, whoever has hashed it before?
  bool hash_always() const;

  // The least trust with which anything may be handed over; kNone: any.
  model::Trust required() const;

 private:
  std::string verify_ = "sealed";
  std::string required_;
};

}  // namespace weighbridge::cli
