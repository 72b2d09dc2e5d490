#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cli/command.h"

namespace weighbridge::cli {

// Gives the parser every command with its flags; what all have is read into `style`.
void declare_program(CLI::App& app,
                     std::span<const std::unique_ptr<Command>> commands,
                     Style& style);

// A flag or an argument, as the parser knows it. A value; Thread-compatible.
struct FlagHelp {
  std::vector<std::string> names;    // "-q", "--quiet"; of an argument its one name, "REF"
  std::string value;                 // "SIZE", what follows a flag; empty if nothing does
  std::vector<std::string> choices;  // all there are, where these are few
  std::string text;
};

struct CommandHelp {
  std::string name;
  std::string summary;
  std::string example;
  std::vector<FlagHelp> flags;
  std::vector<FlagHelp> arguments;
};

struct ProgramHelp {
  std::string name;
  std::string about;
  std::vector<FlagHelp> flags;  // without a command
  std::vector<CommandHelp> commands;
};

// What the program takes, told by its own parser.
ProgramHelp program_help(std::span<const std::unique_ptr<Command>> commands);

// A script for bash, zsh or fish that completes commands, flags and files; `shell` is one of these.
std::string completion_script(const ProgramHelp& program, std::string_view shell);
// The page weighbridge(1).
std::string man_page(const ProgramHelp& program);

// Print them.
std::unique_ptr<Command> make_completion_command();
std::unique_ptr<Command> make_man_command();

}  // namespace weighbridge::cli
