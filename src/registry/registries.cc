#include "registry/registries.h"

#include <map>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "base/json_writer.h"
#include "base/text.h"
#include "registry/reference.h"

namespace weighbridge::registry {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;

constexpr std::uint64_t kSettingsBytes = std::uint64_t{4} * 1024 * 1024;
constexpr std::size_t kMaxLearned = 10'000;

// What a capability object of ours holds, by host.
using LearnedByHost = std::map<std::string, std::string, std::less<>>;

Result<std::string> read_text(io::FileSystem& files, const std::string& path) {
  auto bytes = io::read_file(files, path, kSettingsBytes);
  if (!bytes.ok()) {
    return std::move(bytes).error();
  }
  return std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size());
}

// Losing what was learned costs requests, so that a file which cannot be read is no failure.
LearnedByHost parse_learned(std::string_view text) {
  LearnedByHost learned;
  const auto document = base::JsonDocument::parse(text);
  if (!document.ok()) {
    return learned;
  }
  const auto read = document->root().each_member([&](std::string_view host,
                                                     const JsonValue& value) -> Result<void> {
    Capabilities checked;
    const bool usable =
        is_host(host) && learned.size() < kMaxLearned && override_capabilities(checked, value).ok();
    if (usable) {
      learned.emplace(canonical_host(host), value.text());
    }
    return {};
  });
  return read.ok() ? learned : LearnedByHost{};
}

std::string write_learned(const LearnedByHost& learned) {
  std::string text;
  base::JsonWriter json(text);
  json.begin_object();
  for (const auto& [host, capabilities] : learned) {
    json.key(host);
    json.json(capabilities);
  }
  json.end_object();
  return text + "\n";
}

std::string capabilities_json(const Capabilities& known) {
  std::string text;
  base::JsonWriter json(text);
  write_capabilities(json, known);
  return text;
}

Result<void> override_with(Capabilities& known, const std::string& json) {
  if (json.empty()) {
    return {};
  }
  const auto document = TRY(base::JsonDocument::parse(json));
  return override_capabilities(known, document.root());
}

// One credential for whoever asks: a login that is being tried. Thread-safe.
class TriedCredential final : public Credentials {
 public:
  explicit TriedCredential(Credential credential) : credential_(std::move(credential)) {}

  Result<std::optional<Credential>> find(const Call& /*call*/,
                                         const std::string& /*host*/) override {
    return std::optional(credential_);
  }

  Result<void> store(const Call& /*call*/,
                     const std::string& /*host*/,
                     const Credential& /*credential*/) override {
    return {};
  }

  Result<bool> erase(const Call& /*call*/, const std::string& /*host*/) override { return false; }

 private:
  const Credential credential_;
};

}  // namespace

// Thread-safe.
class Registries::Impl {
 public:
  Impl(io::FileSystem& files,
       Credentials& credentials,
       Options options,
       SettingsByHost settings,
       LearnedByHost learned)
      : files_(files),
        credentials_(credentials),
        options_(std::move(options)),
        settings_(std::move(settings)),
        learned_(std::move(learned)) {}

  Credentials& credentials() { return credentials_; }

  const std::string& home() const { return options_.home; }

  Result<void> adjust(const std::string& host, const std::function<void(Settings&)>& change) {
    if (!is_host(host)) {
      return Error(Code::kInvalid, fmt::format("'{}' is not a host", base::printable(host)));
    }
    const std::string key = canonical_host(host);
    const std::scoped_lock lock(mutex_);
    if (opened_.contains(key)) {
      return Error(Code::kInvalid, fmt::format("{} is spoken to already", key));
    }
    change(settings_[key]);
    return {};
  }

  Result<Client*> at(const std::string& host) {
    if (!is_host(host)) {
      return Error(Code::kInvalid, fmt::format("'{}' is not a host", base::printable(host)));
    }
    const std::string key = canonical_host(host);
    const std::scoped_lock lock(mutex_);
    std::unique_ptr<Opened>& opened = opened_[key];
    if (opened == nullptr) {
      opened = TRY(open(key, credentials_));
    }
    return opened->client.get();
  }

  // Asks with this credential, and with nothing remembered of other calls.
  Result<void> try_login(const Call& call, const std::string& host, const Credential& credential) {
    TriedCredential tried(credential);
    const auto opened = TRY(open(canonical_host(host), tried));
    return opened->client->ping(call);
  }

  Result<void> remember() {
    if (options_.home.empty()) {
      return {};
    }
    const std::scoped_lock lock(mutex_);
    LearnedByHost now = learned_;
    for (const auto& [host, opened] : opened_) {
      if (opened == nullptr) {
        continue;
      }
      Capabilities known = opened->client->capabilities();
      if (known != opened->begun_with) {
        now[host] = capabilities_json(known);
      }
    }
    if (now == learned_) {
      return {};
    }
    const std::string text = write_learned(now);
    TRY(io::write_file_atomically(files_, learned_path(), std::as_bytes(std::span(text))));
    learned_ = std::move(now);
    return {};
  }

  std::string learned_path() const { return options_.home + "/registries-learned.json"; }

 private:
  struct Opened {
    std::unique_ptr<net::HttpClient> http;
    std::unique_ptr<net::HttpClient> patient_http;
    Capabilities begun_with;
    std::unique_ptr<Client> client;
  };

  // The table, then what was learned, then what the user says.
  Result<std::unique_ptr<Opened>> open(const std::string& host, Credentials& credentials) {
    const auto found = settings_.find(host);
    const Settings settings = found == settings_.end() ? Settings{} : found->second;
    Capabilities known = capabilities_of_host(host);
    if (const auto learned = learned_.find(host); learned != learned_.end()) {
      TRY(override_with(known, learned->second));
    }
    TRY(override_with(known, settings.capabilities));
    auto opened = std::make_unique<Opened>();
    opened->http = options_.make_http(http_options(host, settings, false));
    opened->patient_http = options_.make_http(http_options(host, settings, true));
    opened->begun_with = known;
    opened->client = std::make_unique<Client>(
        Client::Parts{host, settings, known, *opened->http, *opened->patient_http, credentials});
    return opened;
  }

  io::FileSystem& files_;
  Credentials& credentials_;
  const Options options_;
  std::mutex mutex_;  // nothing that waits is done under it
  SettingsByHost settings_;
  LearnedByHost learned_;
  std::map<std::string, std::unique_ptr<Opened>, std::less<>> opened_;
};

Registries::Registries(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Registries::~Registries() = default;

Result<std::unique_ptr<Registries>> Registries::open(io::FileSystem& files,
                                                     Credentials& credentials,
                                                     Options options) {
  SettingsByHost settings;
  LearnedByHost learned;
  if (!options.home.empty()) {
    const std::string path = options.home + "/registries.json";
    const auto text = read_text(files, path);
    if (!text.ok() && text.error().code() != Code::kNotFound) {
      return text.error().copy();
    }
    if (text.ok()) {
      auto parsed = parse_settings(text.value());
      if (!parsed.ok()) {
        return std::move(parsed).error().with_code(Code::kInvalid).context(path).in_file(path);
      }
      settings = std::move(parsed).value();
    }
    const auto remembered = read_text(files, options.home + "/registries-learned.json");
    learned = remembered.ok() ? parse_learned(remembered.value()) : LearnedByHost{};
  }
  for (const auto& [host, given] : options.settings) {
    settings.insert_or_assign(canonical_host(host), given);
  }
  return std::unique_ptr<Registries>(new Registries(std::make_unique<Impl>(
      files, credentials, std::move(options), std::move(settings), std::move(learned))));
}

Result<Client*> Registries::at(const std::string& host) {
  return impl_->at(host);
}

Credentials& Registries::credentials() {
  return impl_->credentials();
}

const std::string& Registries::home() const {
  return impl_->home();
}

Result<void> Registries::adjust(const std::string& host,
                                const std::function<void(Settings&)>& change) {
  return impl_->adjust(host, change);
}

Result<void> Registries::remember() {
  return impl_->remember();
}

Result<void> Registries::try_login(const Call& call,
                                   const std::string& host,
                                   const Credential& credential) {
  return impl_->try_login(call, host, credential);
}

Result<void> login(const Call& call,
                   Registries& registries,
                   const std::string& host,
                   const Credential& credential) {
  TRY(registries.at(host));
  TRY(registries.try_login(call, host, credential));
  return registries.credentials().store(call, canonical_host(host), credential);
}

Result<bool> logout(const Call& call, Registries& registries, const std::string& host) {
  TRY(registries.at(host));
  return registries.credentials().erase(call, canonical_host(host));
}

}  // namespace weighbridge::registry
