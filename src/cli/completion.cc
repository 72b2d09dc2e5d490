// Completion scripts, made of what the parser knows. Each is plain: the word that is the command is
// looked for, then its flags are offered to a word that begins with '-', files to any other.

#include <fmt/format.h>

#include "cli/program_help.h"

namespace weighbridge::cli {
namespace {

std::string names_of(const std::vector<FlagHelp>& flags) {
  std::string names;
  for (const FlagHelp& flag : flags) {
    for (const std::string& name : flag.names) {
      names += (names.empty() ? "" : " ") + name;
    }
  }
  return names;
}

// In single quotes, for any of the three; `also` are escaped by a backslash besides.
std::string shell_quoted(std::string_view text, std::string_view also = "") {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
      continue;
    }
    if (also.find(c) != std::string_view::npos) {
      quoted += '\\';
    }
    quoted += c == '\n' ? ' ' : c;
  }
  return quoted + "'";
}

std::string bash_values(const CommandHelp& command) {
  std::string text;
  for (const FlagHelp& flag : command.flags) {
    if (!flag.value.empty()) {
      text += fmt::format(
          "        {}) mapfile -t COMPREPLY < <(compgen -W \"{}\" -- \"$current\"); return ;;\n",
          fmt::join(flag.names, "|"),
          fmt::join(flag.choices, " "));
    }
  }
  return text.empty() ? text : "      case $previous in\n" + text + "      esac\n";
}

std::string bash_script(const ProgramHelp& program) {
  std::string commands;
  std::string cases;
  for (const CommandHelp& command : program.commands) {
    commands += command.name + " ";
    std::string words = names_of(command.flags);
    for (const FlagHelp& argument : command.arguments) {
      if (!argument.choices.empty()) {
        words += fmt::format(" {}", fmt::join(argument.choices, " "));
      }
    }
    cases += fmt::format(
        "    {})\n{}      words=\"{}\" ;;\n", command.name, bash_values(command), words);
  }
  return fmt::format(R"(# bash completion for {name}
_{name}() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
  local command="" words="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ ${{COMP_WORDS[i]}} != -* ]]; then
      command=${{COMP_WORDS[i]}}
      break
    fi
  done
  case $command in
    "") words="{commands}{flags}" ;;
{cases}  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  if [[ -n $command && $current != -* ]]; then
    compopt -o filenames
    mapfile -t -O "${{#COMPREPLY[@]}}" COMPREPLY < <(compgen -f -- "$current")
  fi
}}
complete -F _{name} {name}
)",
                     fmt::arg("name", program.name),
                     fmt::arg("commands", commands),
                     fmt::arg("flags", names_of(program.flags)),
                     fmt::arg("cases", cases));
}

std::string zsh_action(const FlagHelp& flag, std::string_view otherwise) {
  return flag.choices.empty() ? std::string(otherwise)
                              : fmt::format("({})", fmt::join(flag.choices, " "));
}

std::string zsh_script(const ProgramHelp& program) {
  constexpr std::string_view kInSpec = "[]:\\";
  std::string commands;
  std::string cases;
  for (const CommandHelp& command : program.commands) {
    commands += fmt::format("    {}\n", shell_quoted(command.name + ":" + command.summary, "\\"));
    cases += fmt::format("    {})\n      _arguments", command.name);
    for (const FlagHelp& flag : command.flags) {
      for (const std::string& name : flag.names) {
        const std::string text = shell_quoted(flag.text, kInSpec);
        cases += fmt::format(
            " \\\n        '*{}['{}']{}'",
            name,
            text,
            flag.value.empty() ? "" : fmt::format(":{}:{}", flag.value, zsh_action(flag, " ")));
      }
    }
    for (const FlagHelp& argument : command.arguments) {
      cases += fmt::format(
          " \\\n        ':{}:{}'", argument.names.front(), zsh_action(argument, "_files"));
    }
    cases += " ;;\n";
  }
  return fmt::format(R"(#compdef {name}
_{name}() {{
  local -a commands
  commands=(
{commands}  )
  if (( CURRENT == 2 )); then
    _describe command commands
    _arguments {flags}
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
{cases}  esac
}}
if [[ $funcstack[1] == _{name} ]]; then
  _{name} "$@"
else
  compdef _{name} {name}
fi
)",
                     fmt::arg("name", program.name),
                     fmt::arg("commands", commands),
                     fmt::arg("flags", names_of(program.flags)),
                     fmt::arg("cases", cases));
}

std::string fish_flag(const ProgramHelp& program,
                      std::string_view condition,
                      const FlagHelp& flag) {
  std::string line = fmt::format("complete -c {} -n {}", program.name, shell_quoted(condition));
  for (const std::string& name : flag.names) {
    const bool is_long = name.starts_with("--");
    line += fmt::format(" -{} {}", is_long ? "l" : "s", name.substr(is_long ? 2 : 1));
  }
  if (!flag.value.empty()) {
    line += " -x";
  }
  if (!flag.choices.empty()) {
    line += fmt::format(" -a '{}'", fmt::join(flag.choices, " "));
  }
  return line + fmt::format(" -d {}\n", shell_quoted(flag.text, "\\"));
}

std::string fish_script(const ProgramHelp& program) {
  constexpr std::string_view kNoCommand = "__fish_use_subcommand";
  std::string text = fmt::format("# fish completion for {}\n", program.name);
  for (const FlagHelp& flag : program.flags) {
    text += fish_flag(program, kNoCommand, flag);
  }
  for (const CommandHelp& command : program.commands) {
    text += fmt::format("complete -c {} -n {} -f -a {} -d {}\n",
                        program.name,
                        kNoCommand,
                        command.name,
                        shell_quoted(command.summary, "\\"));
    const std::string seen = "__fish_seen_subcommand_from " + command.name;
    for (const FlagHelp& flag : command.flags) {
      text += fish_flag(program, seen, flag);
    }
    for (const FlagHelp& argument : command.arguments) {
      if (!argument.choices.empty()) {
        text += fmt::format("complete -c {} -n {} -f -a '{}'\n",
                            program.name,
                            shell_quoted(seen),
                            fmt::join(argument.choices, " "));
      }
    }
  }
  return text;
}

}  // namespace

std::string completion_script(const ProgramHelp& program, std::string_view shell) {
  if (shell == "bash") {
    return bash_script(program);
  }
  return shell == "zsh" ? zsh_script(program) : fish_script(program);
}

}  // namespace weighbridge::cli
