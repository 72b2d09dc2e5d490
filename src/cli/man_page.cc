// The manual page, made of what the parser knows, in the man macros of roff.

#include <string>

#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"
#include "base/version.h"
#include "cli/program_help.h"

namespace weighbridge::cli {
namespace {

// So that no byte of it is taken for a request or an escape; lines keep apart.
std::string roff(std::string_view text) {
  std::string escaped;
  bool line_begins = true;
  for (const char c : text) {
    if (line_begins && (c == '.' || c == '\'')) {
      escaped += "\\&";
    }
    if (c == '\\') {
      escaped += "\\e";
    } else if (c == '-') {
      escaped += "\\-";
    } else {
      escaped += c;
    }
    line_begins = c == '\n';
  }
  return escaped;
}

std::string flag_text(const FlagHelp& flag) {
  const std::string value =
      flag.choices.empty() ? flag.value : fmt::format("{}", fmt::join(flag.choices, "|"));
  return fmt::format(".TP\n\\fB{}\\fR{}\n{}\n",
                     roff(fmt::format("{}", fmt::join(flag.names, ", "))),
                     flag.value.empty() ? "" : " \\fI" + roff(value) + "\\fR",
                     roff(flag.text));
}

std::string command_text(const ProgramHelp& program, const CommandHelp& command) {
  std::string text = fmt::format(
      ".SS {}\n\\fB{} {}\\fR", roff(command.name), roff(program.name), roff(command.name));
  for (const FlagHelp& argument : command.arguments) {
    text += " \\fI" + roff(argument.names.front()) + "\\fR";
  }
  text += fmt::format(" [\\fIflags\\fR]\n.PP\n{}.\n", roff(command.summary));
  for (const FlagHelp& argument : command.arguments) {
    text += fmt::format(".TP\n\\fI{}\\fR\n{}\n", roff(argument.names.front()), roff(argument.text));
  }
  for (const FlagHelp& flag : command.flags) {
    text += flag_text(flag);
  }
  return text + fmt::format(".PP\n.nf\n{}\n.fi\n", roff(command.example));
}

}  // namespace

std::string man_page(const ProgramHelp& program) {
  std::string text = fmt::format(".TH WEIGHBRIDGE 1 \"\" \"{} {}\"\n.SH NAME\n{} \\- {}\n",
                                 program.name,
                                 base::version(),
                                 program.name,
                                 roff("verified loading of model weights"));
  text += fmt::format(".SH SYNOPSIS\n\\fB{}\\fR \\fIcommand\\fR [\\fIflags\\fR]\n", program.name);
  text += fmt::format(".SH DESCRIPTION\n{}\n", roff(program.about));
  for (const FlagHelp& flag : program.flags) {
    text += flag_text(flag);
  }
  text += ".SH COMMANDS\n";
  for (const CommandHelp& command : program.commands) {
    text += command_text(program, command);
  }
  text += ".SH EXIT STATUS\n.TP\n0\nIt succeeded, and all that it printed was written.\n";
  for (const base::CodeFacts& facts : base::all_facts()) {
    text += fmt::format(".TP\n{}\n{}\n", facts.exit_status, roff(facts.name));
  }
  text += ".SH ENVIRONMENT\n.TP\nWEIGHBRIDGE_HOME\n";
  return text + roff("Where the store stands; ~/.cache/weighbridge without it.") + "\n";
}

}  // namespace weighbridge::cli
