#pragma once

#include <string>

#include "cli/command.h"
#include "registry/registries.h"

namespace weighbridge::cli {

// The flags --plain-http, --insecure and --ca of the commands that speak to one registry: they hold
// for that registry and for no other. (docs/cli.md) Confined to the thread that runs the command.
class RegistryFlags {
 public:
  void declare(CLI::App& app);

  // The registries, with what was said of `host`. kUnsupported: the program has none.
  base::Result<registry::Registries*> open(const Environment& environment,
                                           const std::string& host) const;

 private:
  bool plain_http_ = false;
  bool insecure_ = false;
  std::string ca_file_;
};

}  // namespace weighbridge::cli
