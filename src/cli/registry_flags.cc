#include "cli/registry_flags.h"

#include <CLI/CLI.hpp>

namespace weighbridge::cli {

void RegistryFlags::declare(CLI::App& app) {
  app.add_flag("--plain-http", plain_http_, "Speak to the registry without TLS");
  app.add_flag("--insecure", insecure_, "Do not verify the registry's certificate");
  app.add_option(
      "--ca", ca_file_, "PEM file: trust these, and no others, to vouch for the registry");
}

base::Result<registry::Registries*> RegistryFlags::open(const Environment& environment,
                                                        const std::string& host) const {
  if (!environment.registries) {
    return base::Error(base::Code::kUnsupported, "this program speaks to no registry");
  }
  registry::Registries* const registries = TRY(environment.registries());
  if (plain_http_ || insecure_ || !ca_file_.empty()) {
    TRY(registries->adjust(host, [&](registry::Settings& settings) {
      settings.plain_http = plain_http_ ? std::optional(true) : settings.plain_http;
      settings.insecure = settings.insecure || insecure_;
      settings.ca_file = ca_file_.empty() ? settings.ca_file : ca_file_;
    }));
  }
  return registries;
}

}  // namespace weighbridge::cli
