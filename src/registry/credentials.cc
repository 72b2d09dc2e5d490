#include "registry/credentials.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "registry/credential_helper.h"
#include "registry/docker_config.h"

namespace weighbridge::registry {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

constexpr std::uint64_t kConfigBytes = std::uint64_t{1024} * 1024;

Error failed(const std::string& what, const std::string& path) {
  return Error(Code::kIo, fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)))
      .in_file(path);
}

bool write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(file, text.data(), text.size());
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      return false;
    }
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

// Readable for nobody else from its first byte on, which the file-system seam has no word for.
// What the path leads to is replaced, so that a linked file stays linked.
Result<void> write_private(const std::string& path, std::string_view text) {
  std::error_code missing;
  const auto resolved = std::filesystem::weakly_canonical(path, missing);
  const std::string target = missing ? path : resolved.string();
  const std::string directory = std::filesystem::path(target).parent_path().string();
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return failed("make", directory);
  }
  std::string temporary = directory + "/.config.json-XXXXXX";
  const int file = ::mkostemp(temporary.data(), O_CLOEXEC);  // mode 0600
  if (file < 0) {
    return failed("write", target);
  }
  const bool written = write_all(file, text) && ::fsync(file) == 0;
  const bool closed = ::close(file) == 0;
  if (!written || !closed || ::rename(temporary.c_str(), target.c_str()) != 0) {
    Error error = failed("write", target);
    ::unlink(temporary.c_str());
    return error;
  }
  return {};
}

// Thread-safe: the file is read anew for every call, and changed under a lock.
class DockerCredentials final : public Credentials {
 public:
  DockerCredentials(io::FileSystem& files, std::string directory, Environment environment)
      : files_(files),
        path_(directory.empty() ? std::string() : directory + "/config.json"),
        environment_(std::move(environment)) {}

  Result<std::optional<Credential>> find(const Call& call, const std::string& host) override {
    const DockerConfig config = TRY(read());
    if (const auto name = config.helper(host)) {
      auto found =
          TRY(TRY(CredentialHelper::open(*name, environment_)).get(call, docker_server_key(host)));
      if (found) {
        return found;
      }
    }
    return config.find(host);
  }

  Result<void> store(const Call& call,
                     const std::string& host,
                     const Credential& credential) override {
    if (path_.empty()) {
      return Error(Code::kInvalid,
                   "there is no place for credentials: neither $DOCKER_CONFIG nor "
                   "$HOME is set");
    }
    DockerConfig config = TRY(read());
    if (const auto name = config.helper(host)) {
      return TRY(CredentialHelper::open(*name, environment_))
          .store(call, docker_server_key(host), credential);
    }
    return change([&](DockerConfig& now) {
      now.set(host, credential);
      return true;
    });
  }

  Result<bool> erase(const Call& call, const std::string& host) override {
    const DockerConfig config = TRY(read());
    bool erased = false;
    if (const auto name = config.helper(host)) {
      const auto helper = TRY(CredentialHelper::open(*name, environment_));
      const std::string server = docker_server_key(host);
      if (TRY(helper.get(call, server))) {
        TRY(helper.erase(call, server));
        erased = true;
      }
    }
    if (config.find(host)) {
      TRY(change([&](DockerConfig& now) { return now.erase(host); }));
      erased = true;
    }
    return erased;
  }

 private:
  Result<DockerConfig> read() const {
    if (path_.empty()) {
      return DockerConfig{};
    }
    auto bytes = io::read_file(files_, path_, kConfigBytes);
    if (!bytes.ok()) {
      return bytes.error().code() == Code::kNotFound ? Result<DockerConfig>(DockerConfig{})
                                                     : Result<DockerConfig>(bytes.error().copy());
    }
    const std::string_view text(reinterpret_cast<const char*>(bytes->data()), bytes->size());
    auto config = DockerConfig::parse(text);
    return config.ok()
               ? std::move(config)
               : Result<DockerConfig>(std::move(config).error().context(path_).in_file(path_));
  }

  // Reads, changes and writes as one step among the threads of this process.
  template <typename Change>
  Result<void> change(Change&& change) {
    const std::scoped_lock lock(changing_);
    DockerConfig config = TRY(read());
    return change(config) ? write_private(path_, config.text()) : Result<void>();
  }

  io::FileSystem& files_;
  const std::string path_;
  const Environment environment_;
  std::mutex changing_;
};

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* const value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

std::string docker_config_directory(const Environment& environment) {
  if (auto directory = environment("DOCKER_CONFIG"); directory && !directory->empty()) {
    return *directory;
  }
  const auto home = environment("HOME");
  return home && !home->empty() ? *home + "/.docker" : std::string();
}

std::unique_ptr<Credentials> docker_credentials(io::FileSystem& files,
                                                std::string directory,
                                                Environment environment) {
  return std::make_unique<DockerCredentials>(files, std::move(directory), std::move(environment));
}

}  // namespace weighbridge::registry
