#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace weighbridge::registry {

// A password or token. It has no way into a message by accident: neither streamed, formatted nor
// converted; whoever sends it says reveal(). A value. Thread-compatible.
class Secret {
 public:
  Secret() = default;

  explicit Secret(std::string text) : text_(std::move(text)) {}

  bool empty() const { return text_.empty(); }

  const std::string& reveal() const { return text_; }

  friend bool operator==(const Secret&, const Secret&) = default;

 private:
  std::string text_;
};

// How we prove to a registry who we are: a user and password, an identity token, which is good for
// tokens only, or a token that is sent as it is. A value. Thread-compatible.
struct Credential {
  std::string user;
  Secret password;
  Secret identity_token;
  Secret registry_token;

  friend bool operator==(const Credential&, const Credential&) = default;
};

}  // namespace weighbridge::registry
