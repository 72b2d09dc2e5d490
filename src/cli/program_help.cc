#include "cli/program_help.h"

#include <utility>

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "base/version.h"
#include "cli/command_line.h"

namespace weighbridge::cli {
namespace {

constexpr const char* kProgram = "weighbridge";
constexpr const char* kAbout =
    "Loads model weights and checks every byte on its way: none is handed out before it is proved.";
constexpr const char* kExitStatuses =
    "Exit status: 0 success, 2 usage, 3 bytes are not what they should be, others in docs/cli.md.";

// Of a flag that takes one of a few words, as IsMember describes it: "TEXT:{sealed,always}".
std::vector<std::string> choices_of(std::string_view type) {
  const std::size_t open = type.find('{');
  const std::size_t close = type.find('}');
  std::vector<std::string> choices;
  if (open == std::string_view::npos || close == std::string_view::npos) {
    return choices;
  }
  for (const std::string_view one : base::split(type.substr(open + 1, close - open - 1), ',')) {
    choices.emplace_back(one);
  }
  return choices;
}

FlagHelp help_of(const CLI::Option& option) {
  FlagHelp help;
  for (const std::string& name : option.get_snames()) {
    help.names.push_back("-" + name);
  }
  for (const std::string& name : option.get_lnames()) {
    help.names.push_back("--" + name);
  }
  if (help.names.empty()) {
    help.names.push_back(option.get_name(true));
  }
  const std::string type = option.get_type_name();
  help.choices = choices_of(type);
  if (option.get_items_expected_max() > 0) {
    help.value = help.choices.empty() ? type : "WORD";
  }
  help.text = option.get_description();
  return help;
}

}  // namespace

void declare_program(CLI::App& app,
                     std::span<const std::unique_ptr<Command>> commands,
                     Style& style) {
  app.name(kProgram);
  app.description(kAbout);
  app.set_version_flag("--version", std::string(base::version()));
  app.require_subcommand(1);
  app.footer(kExitStatuses);
  for (const auto& command : commands) {
    CLI::App* const sub =
        app.add_subcommand(std::string(command->name()), std::string(command->summary()));
    sub->add_flag("--json", style.json, "Print JSON (docs/cli.md), errors too");
    sub->add_flag("-q,--quiet", style.quiet, "No progress");
    sub->footer(std::string(command->example()));
    command->declare(*sub);
  }
}

ProgramHelp program_help(std::span<const std::unique_ptr<Command>> commands) {
  CLI::App app;
  Style style;
  declare_program(app, commands, style);
  ProgramHelp program{app.get_name(), app.get_description(), {}, {}};
  for (const CLI::Option* option : std::as_const(app).get_options()) {
    program.flags.push_back(help_of(*option));
  }
  for (const CLI::App* sub : std::as_const(app).get_subcommands(nullptr)) {
    CommandHelp command{sub->get_name(), sub->get_description(), sub->get_footer(), {}, {}};
    for (const CLI::Option* option : sub->get_options()) {
      (option->get_positional() ? command.arguments : command.flags).push_back(help_of(*option));
    }
    program.commands.push_back(std::move(command));
  }
  return program;
}

namespace {

// Confined to the thread that runs it.
class CompletionCommand final : public Command {
 public:
  CompletionCommand()
      : Command({"completion",
                 "Print a script that completes commands and flags in your shell",
                 "Example:\n"
                 "  weighbridge completion bash > ~/.local/share/bash-completion/completions/"
                 "weighbridge\n"
                 "  weighbridge completion zsh > ~/.zfunc/_weighbridge\n"
                 "  weighbridge completion fish > ~/.config/fish/completions/weighbridge.fish"}) {}

  void declare(CLI::App& app) override {
    app.add_option("SHELL", shell_, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  }

  base::Result<void> run(const base::Call&, const Environment& environment, Style) override {
    return environment.out.write(completion_script(program_help(model_commands()), shell_));
  }

 private:
  std::string shell_;
};

// Confined to the thread that runs it.
class ManCommand final : public Command {
 public:
  ManCommand()
      : Command({"man",
                 "Print the manual page",
                 "Example:\n"
                 "  weighbridge man | man -l -"}) {}

  void declare(CLI::App&) override {}

  base::Result<void> run(const base::Call&, const Environment& environment, Style) override {
    return environment.out.write(man_page(program_help(model_commands())));
  }
};

}  // namespace

std::unique_ptr<Command> make_completion_command() {
  return std::make_unique<CompletionCommand>();
}

std::unique_ptr<Command> make_man_command() {
  return std::make_unique<ManCommand>();
}

}  // namespace weighbridge::cli
