#include "registry/credential_helper.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/json.h"
#include "base/json_writer.h"
#include "base/text.h"

namespace weighbridge::registry {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;

constexpr std::chrono::seconds kLongestRun{60};
constexpr std::chrono::milliseconds kTick{20};
constexpr std::size_t kAnswerBytes = std::size_t{64} * 1024;
constexpr std::string_view kNone = "credentials not found in native keychain";
constexpr std::string_view kTokenUser = "<token>";

// Places and sessions that helpers of keychains and clouds need. None of these holds a secret.
constexpr std::array<const char*, 27> kVariables = {"PATH",
                                                    "HOME",
                                                    "USER",
                                                    "LOGNAME",
                                                    "LANG",
                                                    "TMPDIR",
                                                    "DISPLAY",
                                                    "WAYLAND_DISPLAY",
                                                    "DBUS_SESSION_BUS_ADDRESS",
                                                    "XDG_RUNTIME_DIR",
                                                    "XDG_CONFIG_HOME",
                                                    "XDG_DATA_HOME",
                                                    "GNUPGHOME",
                                                    "GPG_TTY",
                                                    "PASSWORD_STORE_DIR",
                                                    "AWS_PROFILE",
                                                    "AWS_REGION",
                                                    "AWS_DEFAULT_REGION",
                                                    "AWS_CONFIG_FILE",
                                                    "AWS_SHARED_CREDENTIALS_FILE",
                                                    "AWS_WEB_IDENTITY_TOKEN_FILE",
                                                    "AWS_ROLE_ARN",
                                                    "AWS_EC2_METADATA_DISABLED",
                                                    "GOOGLE_APPLICATION_CREDENTIALS",
                                                    "CLOUDSDK_CONFIG",
                                                    "AZURE_CONFIG_DIR",
                                                    "DOCKER_CONFIG"};

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 128 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

std::optional<std::string> find_on_path(const std::string& program, const std::string& path) {
  for (const std::string_view directory : base::split(path, ':')) {
    if (!directory.starts_with('/')) {
      continue;  // what is relative depends on where we stand
    }
    std::string candidate = std::string(directory) + "/" + program;
    if (::access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
  }
  return std::nullopt;
}

// A child that hears and speaks over one socket, killed with all it started when this goes.
// Confined.
class Child {
 public:
  explicit Child(int socket, pid_t pid) : socket_(socket), pid_(pid) {}

  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  ~Child() {
    ::close(socket_);
    if (pid_ > 0) {
      ::kill(-pid_, SIGKILL);
      int status = 0;
      while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
      }
    }
  }

  // Gives it `input`, then its end, and takes what it says to the end.
  Result<std::string> talk(const Call& call, std::string_view input) {
    // It is small beside a socket's buffer, so that nobody waits for anybody.
    if (!input.empty() && ::send(socket_, input.data(), input.size(), MSG_NOSIGNAL) < 0 &&
        errno != EPIPE) {
      return Error(Code::kIo, std::strerror(errno));
    }
    ::shutdown(socket_, SHUT_WR);
    std::string said;
    std::array<char, 4096> buffer{};
    for (;;) {
      TRY(call.check());
      pollfd watched{socket_, POLLIN, 0};
      if (::poll(&watched, 1, static_cast<int>(kTick.count())) <= 0) {
        continue;
      }
      const ssize_t count = ::recv(socket_, buffer.data(), buffer.size(), 0);
      if (count <= 0) {
        return said;
      }
      said.append(buffer.data(), static_cast<std::size_t>(count));
      if (said.size() > kAnswerBytes) {
        return Error(Code::kExhausted, "it says more than 64 KiB");
      }
    }
  }

  // Its exit status, or -1.
  Result<int> wait(const Call& call) {
    for (;;) {
      int status = 0;
      const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
      if (ended == pid_ || (ended < 0 && errno != EINTR)) {
        pid_ = -1;
        return ended > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
      }
      TRY(call.check());
      call.clock().sleep_until(call.clock().now() + kTick, call.stop());
    }
  }

 private:
  const int socket_;
  pid_t pid_;
};

// How a child begins: its descriptors, a process group of its own. Confined.
struct SpawnSetup {
  SpawnSetup() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
  }

  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;

  ~SpawnSetup() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }

  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};
};

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) {
    pointers.push_back(text.data());
  }
  pointers.push_back(nullptr);
  return pointers;
}

Result<std::unique_ptr<Child>> start(const std::string& program,
                                     const std::string& action,
                                     std::vector<std::string> variables) {
  std::array<int, 2> sockets{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) != 0) {
    return Error(Code::kIo, std::strerror(errno));
  }
  SpawnSetup setup;
  ::posix_spawn_file_actions_adddup2(&setup.actions, sockets[1], STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&setup.actions, sockets[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_addopen(&setup.actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  ::posix_spawnattr_setpgroup(&setup.attributes, 0);
  ::posix_spawnattr_setflags(&setup.attributes, POSIX_SPAWN_SETPGROUP);
  std::vector<std::string> arguments = {program, action};
  pid_t pid = -1;
  const int problem = ::posix_spawn(&pid,
                                    program.c_str(),
                                    &setup.actions,
                                    &setup.attributes,
                                    pointers_to(arguments).data(),
                                    pointers_to(variables).data());
  ::close(sockets[1]);
  auto child = std::make_unique<Child>(sockets[0], problem == 0 ? pid : -1);
  if (problem != 0) {
    return Error(Code::kIo, std::strerror(problem));
  }
  return child;
}

}  // namespace

Result<CredentialHelper> CredentialHelper::open(const std::string& name,
                                                const Environment& environment) {
  if (!is_name(name)) {
    return Error(
        Code::kInvalid,
        fmt::format("'{}' is not the name of a credential helper", base::printable(name, 64)));
  }
  return CredentialHelper("docker-credential-" + name, environment);
}

Result<std::string> CredentialHelper::run(const Call& call,
                                          const std::string& action,
                                          const std::string& input) const {
  const auto program = find_on_path(program_, environment_("PATH").value_or(""));
  if (!program) {
    return Error(Code::kNotFound, fmt::format("{} is not on the PATH", program_))
        .with_hint("Docker's config.json names it: install it, or take its name out there.");
  }
  std::vector<std::string> variables;
  for (const char* const name : kVariables) {
    if (const auto value = environment_(name)) {
      variables.push_back(fmt::format("{}={}", name, *value));
    }
  }
  const Call limited = call.within(kLongestRun);
  const std::string what = fmt::format("{} {}", program_, action);
  auto child = start(*program, action, std::move(variables));
  if (!child.ok()) {
    return std::move(child).error().context(what);
  }
  auto said = child.value()->talk(limited, input);
  if (!said.ok()) {
    return std::move(said).error().context(what);
  }
  auto status = child.value()->wait(limited);
  if (!status.ok()) {
    return std::move(status).error().context(what);
  }
  if (status.value() == 0) {
    return said;
  }
  if (said->find(kNone) != std::string::npos) {
    return std::string();
  }
  return Error(Code::kDenied, fmt::format("{} failed (exit status {})", what, status.value()))
      .with_hint("What it said may hold a secret and is not shown: run it by hand.");
}

Result<std::optional<Credential>> CredentialHelper::get(const Call& call,
                                                        const std::string& server) const {
  const std::string said = TRY(run(call, "get", server));
  if (base::trim(said).empty()) {
    return std::optional<Credential>();
  }
  const auto malformed = [&] {
    return Error(Code::kCorrupt, program_ + " get: the answer is not what Docker documents");
  };
  const auto document = base::JsonDocument::parse(said);
  if (!document.ok()) {
    return malformed();
  }
  std::string user;
  std::string secret;
  const auto read = document->root().each_member(
      [&](std::string_view key, const JsonValue& value) -> Result<void> {
        if (key == "Username") {
          user = TRY(value.as_string());
        } else if (key == "Secret") {
          secret = TRY(value.as_string());
        }
        return {};
      });
  if (!read.ok() || secret.empty()) {
    return malformed();
  }
  Credential credential;
  if (user == kTokenUser) {
    credential.identity_token = Secret(std::move(secret));
  } else {
    credential.user = std::move(user);
    credential.password = Secret(std::move(secret));
  }
  return std::optional(std::move(credential));
}

Result<void> CredentialHelper::store(const Call& call,
                                     const std::string& server,
                                     const Credential& credential) const {
  const bool token = !credential.identity_token.empty();
  std::string input;
  base::JsonWriter json(input);
  json.begin_object();
  json.key("ServerURL");
  json.text(server);
  json.key("Username");
  json.text(token ? kTokenUser : std::string_view(credential.user));
  json.key("Secret");
  json.text((token ? credential.identity_token : credential.password).reveal());
  json.end_object();
  TRY(run(call, "store", input));
  return {};
}

Result<void> CredentialHelper::erase(const Call& call, const std::string& server) const {
  TRY(run(call, "erase", server));
  return {};
}

}  // namespace weighbridge::registry
