#include "cli/command_line.h"

#include <algorithm>
#include <new>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/version.h"
#include "cli/attach.h"
#include "cli/bundle.h"
#include "cli/cp.h"
#include "cli/diff.h"
#include "cli/discover.h"
#include "cli/inspect.h"
#include "cli/load.h"
#include "cli/lock.h"
#include "cli/login.h"
#include "cli/pack.h"
#include "cli/program_help.h"
#include "cli/pull.h"
#include "cli/push.h"
#include "cli/report.h"
#include "cli/seal.h"
#include "cli/store_commands.h"
#include "cli/tag.h"
#include "cli/verify.h"

namespace weighbridge::cli {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr const char* kProgram = "weighbridge";

// A word that is a URL keeps its scheme alone: out of its place it may hold a password all the
// same.
std::string without_urls(std::string_view text) {
  constexpr std::string_view kMark = "://";
  std::string kept;
  for (std::size_t mark = text.find(kMark); mark != std::string_view::npos;
       mark = text.find(kMark)) {
    kept.append(text.substr(0, mark)).append("://...");
    text.remove_prefix(mark + kMark.size());
    text.remove_prefix(std::min(text.size(), text.find_first_of(" ,;\n")));
  }
  return kept.append(text);
}

// What CLI11 throws as what we return, and help as what was asked for.
Result<void> explain(const CLI::App& app, const CLI::ParseError& thrown, Output& out) {
  if (thrown.get_name() == "CallForHelp") {
    return out.write(app.help());
  }
  if (thrown.get_name() == "CallForVersion") {
    return out.write(fmt::format("{} {}\n", kProgram, base::version()));
  }
  const auto chosen = app.get_subcommands();
  const std::string of = chosen.empty() ? "" : chosen.front()->get_name() + " ";
  return Error(Code::kInvalid, without_urls(thrown.what()))
      .with_hint(fmt::format("`{} {}--help` shows what can be said.", kProgram, of));
}

struct Parser {
  explicit Parser(std::span<const std::unique_ptr<Command>> all) : commands(all) {
    declare_program(app, commands, style);
  }

  Command& chosen() const {
    const std::string name = app.get_subcommands().front()->get_name();
    const auto found = std::ranges::find_if(
        commands, [&](const auto& command) { return command->name() == name; });
    return **found;
  }

  std::span<const std::unique_ptr<Command>> commands;
  CLI::App app;
  Style style;
};

Result<void> parse_and_run(const base::Call& call,
                           const Environment& environment,
                           Parser& parser,
                           std::vector<std::string> arguments) {
  std::ranges::reverse(arguments);  // as CLI11 wants them
  try {
    parser.app.parse(std::move(arguments));
  } catch (const CLI::ParseError& thrown) {
    return explain(parser.app, thrown, environment.out);
  }
  try {
    return parser.chosen().run(call, environment, parser.style);
  } catch (const std::bad_alloc&) {
    return Error(Code::kExhausted, "out of memory")
        .with_hint("`load --memory SIZE` reads a model in as little as you allow it.");
  }
}

}  // namespace

int run_command_line(const base::Call& call,
                     const Environment& environment,
                     std::span<const std::unique_ptr<Command>> commands,
                     std::vector<std::string> arguments) {
  const bool json = std::ranges::find(arguments, "--json") != arguments.end();
  Parser parser(commands);
  const auto done = parse_and_run(call, environment, parser, std::move(arguments));
  if (done.ok()) {
    return 0;
  }
  // Where even this cannot be written, the exit status still says it.
  (void)environment.err.write(json ? error_json(done.error()) : error_text(done.error()));
  return base::facts(done.error().code()).exit_status;
}

std::vector<std::unique_ptr<Command>> model_commands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(std::make_unique<LoadCommand>());
  commands.push_back(std::make_unique<InspectCommand>());
  commands.push_back(std::make_unique<SealCommand>());
  commands.push_back(std::make_unique<VerifyCommand>());
  commands.push_back(std::make_unique<PullCommand>());
  commands.push_back(std::make_unique<LockCommand>());
  commands.push_back(std::make_unique<ExportCommand>());
  commands.push_back(std::make_unique<ImportCommand>());
  commands.push_back(std::make_unique<InitCommand>());
  commands.push_back(std::make_unique<PackCommand>());
  commands.push_back(std::make_unique<TagCommand>());
  commands.push_back(std::make_unique<CpCommand>());
  commands.push_back(std::make_unique<DiffCommand>());
  commands.push_back(std::make_unique<AttachCommand>());
  commands.push_back(std::make_unique<DiscoverCommand>());
  commands.push_back(std::make_unique<PushCommand>());
  commands.push_back(std::make_unique<LoginCommand>());
  commands.push_back(std::make_unique<LogoutCommand>());
  commands.push_back(make_ls_command());
  commands.push_back(make_du_command());
  commands.push_back(make_rm_command());
  commands.push_back(make_pin_command());
  commands.push_back(make_unpin_command());
  commands.push_back(make_gc_command());
  commands.push_back(make_scrub_command());
  commands.push_back(make_adopt_command());
  commands.push_back(make_completion_command());
  commands.push_back(make_man_command());
  return commands;
}

}  // namespace weighbridge::cli
