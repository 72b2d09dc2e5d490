// The program: makes what the commands stand on, hands it in, runs one of them.

#include <csignal>
#include <cstdlib>
#include <memory>
#include <mutex>
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
#include "pack/oci_source.h"
#include "registry/credentials.h"
#include "registry/registries.h"
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
      .with_hint("It reads paths, file://, http://, https:// and oci://; a path can begin with ./");
}

// The registries, opened when one is asked for first: who loads from a disk reads no settings of
// them. Thread-safe.
class LazyRegistries {
 public:
  LazyRegistries(io::FileSystem& files, std::string home)
      : files_(files),
        home_(std::move(home)),
        credentials_(registry::docker_credentials(
            files,
            registry::docker_config_directory(registry::process_environment()),
            registry::process_environment())) {}

  base::Result<registry::Registries*> get() {
    const std::scoped_lock lock(mutex_);
    if (registries_ == nullptr) {
      registry::Registries::Options options;
      options.home = home_;
      options.make_http = [](net::HttpClientOptions http) {
        if (http.ca_file.empty()) {
          http.ca_file = ca_file();
        }
        return net::make_http_client(std::move(http));
      };
      registries_ = TRY(registry::Registries::open(files_, *credentials_, std::move(options)));
    }
    return registries_.get();
  }

  // What was learned of them is written down; that it cannot be is no reason to fail.
  ~LazyRegistries() {
    if (registries_ != nullptr) {
      (void)registries_->remember();
    }
  }

  LazyRegistries(const LazyRegistries&) = delete;
  LazyRegistries& operator=(const LazyRegistries&) = delete;

 private:
  io::FileSystem& files_;
  const std::string home_;  // empty: nothing is read or kept
  const std::unique_ptr<registry::Credentials> credentials_;
  std::mutex mutex_;
  std::unique_ptr<registry::Registries> registries_;
};

struct Origins {
  io::FileSystem& files;
  net::HttpClient& client;
  LazyRegistries& registries;
};

base::Result<std::unique_ptr<sources::Source>> open_oci(LazyRegistries& lazy,
                                                        const model::Ref& ref) {
  const registry::Reference reference = TRY(pack::oci_reference(ref));
  registry::Registries* const registries = TRY(lazy.get());
  registry::Client* const client = TRY(registries->at(reference.host));
  return std::unique_ptr<sources::Source>(TRY(pack::open_oci_source(*client, ref)));
}

base::Result<std::unique_ptr<sources::Source>> open_source(const Origins& origins,
                                                           const model::Ref& ref) {
  switch (ref.scheme()) {
    case model::Scheme::kFile:
      return sources::open_file_source(origins.files, ref);
    case model::Scheme::kHttp:
      return sources::open_http_source(origins.client, ref);
    case model::Scheme::kOci:
      return open_oci(origins.registries, ref);
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
  LazyRegistries registries(*files, home.ok() ? *home : "");
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
      [&](const model::Ref& ref) {
        return open_source({*files, *client, registries}, ref);
      },
      transfer,
      pool,
      out,
      err,
      known,
      [&](const store::SpaceLimits& limits) -> base::Result<std::unique_ptr<store::Store>> {
        return store::Store::open(*files, TRY(home_path()), limits);
      },
      [&](const store::SpaceLimits& limits) { return find_store(*files, limits); },
      [&] { return registries.get(); }};
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
