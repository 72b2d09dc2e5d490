// The program: makes what the commands stand on, hands it in, runs one of them.

#include <csignal>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/command_line.h"
#include "cli/stop_on_signal.h"
#include "device/host_memory.h"
#include "io/file_system.h"
#include "net/http_client.h"
#include "sources/file_source.h"
#include "sources/http_source.h"
#include "store/home.h"
#include "store/proofs.h"
#include "store/store.h"
#include "transfer/first_seen.h"
#include "transfer/local_proofs.h"
#include "transfer/stored_trees.h"
#include "transfer/transfer.h"

namespace weighbridge::apps {
namespace {

constexpr std::uint64_t kKeepNothing = 0;  // one load a process

// A standard descriptor that came closed would be given to the next file or socket we open, and
// what we print would go there. In its place stands one that fails.
void hold_standard_descriptors() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(descriptor, F_GETFD) < 0) {
      (void)::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
  }
}

std::string ca_file() {
  for (const char* name : {"SSL_CERT_FILE", "CURL_CA_BUNDLE"}) {
    const char* const value = std::getenv(name);
    if (value != nullptr && *value != '\0') {
      return value;
    }
  }
  return {};
}

// Where this machine keeps what it knows.
base::Result<std::string> home_path() {
  return store::home_path(std::getenv("WEIGHBRIDGE_HOME"), std::getenv("HOME"));
}

// Null if there is none.
base::Result<std::unique_ptr<store::Store>> find_store(io::FileSystem& files,
                                                       const store::SpaceLimits& limits) {
  const std::string path = TRY(home_path());
  const auto format = files.info(path + "/format");
  if (!format.ok() && format.error().code() == base::Code::kNotFound) {
    return std::unique_ptr<store::Store>();
  }
  return store::Store::open(files, path, limits);
}

base::Error no_source_for(const model::Ref& ref) {
  const std::string_view text = ref.text();
  const std::size_t colon = text.find("://");
  const std::string what = colon == std::string_view::npos
                               ? "a name in the local store"
                               : std::string(text.substr(0, colon)) + "://";
  return base::Error(base::Code::kUnsupported, "this version cannot read from " + what)
      .in_file(ref.printable())
      .with_hint("It reads paths, file://, http:// and https://; a path can begin with ./");
}

base::Result<std::unique_ptr<sources::Source>> open_source(io::FileSystem& files,
                                                           net::HttpClient& client,
                                                           const model::Ref& ref) {
  switch (ref.scheme()) {
    case model::Scheme::kFile:
      return sources::open_file_source(files, ref);
    case model::Scheme::kHttp:
      return sources::open_http_source(client, ref);
    default:
      return no_source_for(ref);
  }
}

int run(std::vector<std::string> arguments) {
  hold_standard_descriptors();
  std::signal(SIGPIPE, SIG_IGN);
  const cli::StopOnSignal stop;
  const auto files = io::real_file_system();
  net::HttpClientOptions options;
  options.ca_file = ca_file();
  const auto client = net::make_http_client(std::move(options));
  transfer::FirstSeen first_seen;
  std::optional<store::Proofs> proofs;
  std::optional<transfer::LocalProofs> local_proofs;
  std::optional<transfer::StoredTrees> trees;
  const auto home = home_path();
  if (home.ok()) {
    proofs.emplace(*files, *home);
    local_proofs.emplace(*proofs);
    trees.emplace(*proofs);
  }
  transfer::LocalProofs* const known = local_proofs ? &*local_proofs : nullptr;
  transfer::Transfer transfer(first_seen, std::random_device{}(), known, trees ? &*trees : nullptr);
  device::HostPool pool(kKeepNothing);
  cli::DescriptorOutput out(STDOUT_FILENO, "standard output");
  cli::DescriptorOutput err(STDERR_FILENO, "standard error");
  const cli::Environment environment{
      *files,
      [&](const model::Ref& ref) { return open_source(*files, *client, ref); },
      transfer,
      pool,
      out,
      err,
      known,
      [&](const store::SpaceLimits& limits) -> base::Result<std::unique_ptr<store::Store>> {
        return store::Store::open(*files, TRY(home_path()), limits);
      },
      [&](const store::SpaceLimits& limits) { return find_store(*files, limits); }};
  return cli::run_command_line(base::Call(base::system_clock()).stopped_by(stop.token()),
                               environment,
                               cli::model_commands(),
                               std::move(arguments));
}

}  // namespace
}  // namespace weighbridge::apps

int main(int argc, char** argv) {
  return weighbridge::apps::run(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
