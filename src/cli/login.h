#pragma once

#include <string>

#include "cli/command.h"
#include "cli/registry_flags.h"

namespace weighbridge::cli {

// weighbridge login: tries a user and password at a registry, and keeps them where docker, oras and
// skopeo look too. (docs/cli.md) Confined to the thread that runs it.
class LoginCommand final : public Command {
 public:
  std::string_view name() const override { return "login"; }

  std::string_view summary() const override { return "Log in to a registry"; }

  std::string_view example() const override;
  void declare(CLI::App& app) override;
  base::Result<void> run(const base::Call& call,
                         const Environment& environment,
                         Style style) override;

 private:
  std::string host_;
  std::string user_;
  bool password_stdin_ = false;
  RegistryFlags flags_;
};

// weighbridge logout: forgets them. (docs/cli.md) Confined to the thread that runs it.
class LogoutCommand final : public Command {
 public:
  std::string_view name() const override { return "logout"; }

  std::string_view summary() const override { return "Forget a registry's login"; }

  std::string_view example() const override;
  void declare(CLI::App& app) override;
  base::Result<void> run(const base::Call& call,
                         const Environment& environment,
                         Style style) override;

 private:
  std::string host_;
};

}  // namespace weighbridge::cli
