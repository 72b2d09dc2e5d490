#pragma once

#include <memory>

#include "cli/command.h"

namespace weighbridge::cli {

// The commands about what is kept on this machine. (docs/cli.md)

// What is there, Ref by Ref.
std::unique_ptr<Command> make_ls_command();
// Takes a Ref away, with what nothing else names.
std::unique_ptr<Command> make_rm_command();
// A pinned snapshot is not evicted.
std::unique_ptr<Command> make_pin_command();
std::unique_ptr<Command> make_unpin_command();
// Frees space.
std::unique_ptr<Command> make_gc_command();
// Proves again what is there.
std::unique_ptr<Command> make_scrub_command();
// Where the space went.
std::unique_ptr<Command> make_du_command();
// Makes a directory elsewhere a member, without copying it.
std::unique_ptr<Command> make_adopt_command();

}  // namespace weighbridge::cli
