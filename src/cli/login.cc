#include "cli/login.h"

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/json_writer.h"
#include "base/units.h"
#include "registry/reference.h"

namespace weighbridge::cli {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

constexpr std::size_t kMaxPasswordBytes = 64 * base::kKiB;

// All of standard input, without the end of its last line.
Result<registry::Secret> password_from_stdin() {
  std::string text;
  std::array<char, 4096> some;
  for (;;) {
    const ssize_t bytes = ::read(STDIN_FILENO, some.data(), some.size());
    if (bytes < 0 && errno == EINTR) {
      continue;
    }
    if (bytes < 0) {
      return Error(Code::kIo,
                   "standard input cannot be read: " + std::generic_category().message(errno));
    }
    if (bytes == 0) {
      break;
    }
    text.append(some.data(), static_cast<std::size_t>(bytes));
    if (text.size() > kMaxPasswordBytes) {
      return Error(Code::kInvalid, "that is too long for a password");
    }
  }
  for (const char end : {'\n', '\r'}) {
    if (text.ends_with(end)) {
      text.pop_back();
    }
  }
  if (text.empty()) {
    return Error(Code::kInvalid, "standard input holds no password");
  }
  return registry::Secret(std::move(text));
}

Result<void> tell(const Environment& environment,
                  Style style,
                  const std::string& host,
                  bool logged_in,
                  const std::string& text) {
  if (!style.json) {
    return environment.out.write(text + "\n");
  }
  std::string line;
  base::JsonWriter json(line);
  json.begin_object();
  json.key("host");
  json.text(host);
  json.key("logged_in");
  json.boolean(logged_in);
  json.end_object();
  return environment.out.write(line + "\n");
}

}  // namespace

std::string_view LoginCommand::example() const {
  return "Example:\n"
         "  printf %s \"$TOKEN\" | weighbridge login registry.example -u me --password-stdin\n"
         "Kept in $DOCKER_CONFIG/config.json, or by the helper that it names.";
}

void LoginCommand::declare(CLI::App& app) {
  app.add_option("HOST", host_, "The registry: host or host:port")->required();
  app.add_option("-u,--username", user_, "Who logs in")->required();
  app.add_flag(
      "--password-stdin", password_stdin_, "Read the password or token from standard input");
  flags_.declare(app);
}

Result<void> LoginCommand::run(const Call& call, const Environment& environment, Style style) {
  if (!password_stdin_) {
    return Error(Code::kInvalid, "a password is read from standard input alone")
        .with_hint("Give it there, with --password-stdin: arguments can be seen by others.");
  }
  registry::Registries* const registries = TRY(flags_.open(environment, host_));
  registry::Credential credential;
  credential.user = user_;
  credential.password = TRY(password_from_stdin());
  TRY(registry::login(call, *registries, host_, credential));
  const std::string host = registry::canonical_host(host_);
  return tell(environment, style, host, true, fmt::format("logged in to {} as {}", host, user_));
}

std::string_view LogoutCommand::example() const {
  return "Example:\n"
         "  weighbridge logout registry.example";
}

void LogoutCommand::declare(CLI::App& app) {
  app.add_option("HOST", host_, "The registry: host or host:port")->required();
}

Result<void> LogoutCommand::run(const Call& call, const Environment& environment, Style style) {
  if (!environment.registries) {
    return Error(Code::kUnsupported, "this program speaks to no registry");
  }
  const bool was = TRY(registry::logout(call, *TRY(environment.registries()), host_));
  const std::string host = registry::canonical_host(host_);
  return tell(environment,
              style,
              host,
              false,
              fmt::format("{} {}", was ? "logged out of" : "was not logged in to", host));
}

}  // namespace weighbridge::cli
