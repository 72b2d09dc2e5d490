#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include <gtest/gtest.h>

#include "base/body_source.h"
#include "base/call.h"
#include "registry/client.h"
#include "registry/testing/fake_registry.h"
#include "testing/memory_sink.h"

namespace weighbridge::registry::testing {

// The same credential for every host, or none. Counts how often it is asked. Thread-compatible.
class OneCredential final : public Credentials {
 public:
  explicit OneCredential(std::optional<Credential> credential)
      : credential_(std::move(credential)) {}

  base::Result<std::optional<Credential>> find(const base::Call& /*call*/,
                                               const std::string& /*host*/) override {
    return credential_;
  }

  base::Result<void> store(const base::Call& /*call*/,
                           const std::string& /*host*/,
                           const Credential& credential) override {
    credential_ = credential;
    return {};
  }

  base::Result<bool> erase(const base::Call& /*call*/, const std::string& /*host*/) override {
    return std::exchange(credential_, std::nullopt).has_value();
  }

 private:
  std::optional<Credential> credential_;
};

inline Credential user_credential(std::string user, std::string password) {
  Credential credential;
  credential.user = std::move(user);
  credential.password = Secret(std::move(password));
  return credential;
}

// A client of a fake registry, logged in as the fake's user unless told otherwise. Confined to its
// test.
class Pair {
 public:
  explicit Pair(FakeRules rules = {},
                std::optional<Credential> credential = user_credential("user", "the-password"),
                const base::Clock& clock = base::system_clock())
      : fake_(std::move(rules)),
        credentials_(std::move(credential)),
        http_(net::make_http_client(direct())),
        call_(base::Call(clock)) {
    open(capabilities_of_host(fake_.host()));
  }

  // Begins anew, knowing this.
  void open(Capabilities known, Settings settings = {}) {
    client_ = std::make_unique<Client>(Client::Parts{
        fake_.host(), std::move(settings), std::move(known), *http_, *http_, credentials_});
  }

  FakeRegistry& fake() { return fake_; }

  Client& client() { return *client_; }

  net::HttpClient& http() { return *http_; }

  const base::Call& call() const { return call_; }

  static net::HttpClientOptions direct() {
    net::HttpClientOptions options;
    options.no_proxy = "*";
    return options;
  }

  // begin, patch in parts of `chunk`, finish.
  base::Result<void> upload(const std::string& repository,
                            const std::string& bytes,
                            std::size_t chunk) {
    Upload upload = TRY(client_->begin_upload(call_, repository));
    for (std::size_t at = 0; at < bytes.size(); at += chunk) {
      base::MemoryBody body(
          std::as_bytes(std::span(bytes)).subspan(at, std::min(chunk, bytes.size() - at)));
      TRY(client_->patch(call_, upload, body));
    }
    return client_->finish(call_, upload, Digest::of(std::string_view(bytes)));
  }

 private:
  FakeRegistry fake_;
  OneCredential credentials_;
  const std::unique_ptr<net::HttpClient> http_;
  const base::Call call_;
  std::unique_ptr<Client> client_;
};

inline std::string some_bytes(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<char>(i * 131 / 7);
  }
  return bytes;
}

}  // namespace weighbridge::registry::testing
