#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/call.h"
#include "cli/command.h"

namespace weighbridge::cli {

// Reads `arguments` (without the program's name), runs the command they name and reports how it
// ended. Returns the exit status: 0 only if the command succeeded and all it printed was written;
// else the one of the error's code (docs/cli.md), 2 for arguments that cannot be understood.
// With `--json` among the arguments every error is a JSON object on `environment.err`.
int run_command_line(const base::Call& call,
                     const Environment& environment,
                     std::span<const std::unique_ptr<Command>> commands,
                     std::vector<std::string> arguments);

// All commands of the program, in the order of its help.
std::vector<std::unique_ptr<Command>> model_commands();

}  // namespace weighbridge::cli
