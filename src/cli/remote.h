#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/call.h"
#include "base/result.h"
#include "cli/command.h"
#include "cli/registry_flags.h"
#include "registry/client.h"
#include "registry/reference.h"

namespace weighbridge::cli {

// An artifact in a registry, as it was typed. A value; borrows the client from the environment.
struct Remote {
  registry::Reference reference;
  registry::Client* client = nullptr;

  // "oci://host/repository:tag".
  std::string text() const { return "oci://" + reference.text(); }
};

// "oci://...": a reference to a registry, and none to this machine.
bool is_remote(std::string_view text);

// kInvalid: none of an artifact. Or what Environment::registries fails with.
base::Result<Remote> open_remote(const Environment& environment,
                                 std::string_view text,
                                 const RegistryFlags& flags = {});

// Runs a try until it succeeds, as often as may help; the waits are told on `err`.
base::Result<void> persistently(const base::Call& call,
                                const Environment& environment,
                                Style style,
                                const std::function<base::Result<void>()>& once);

}  // namespace weighbridge::cli
