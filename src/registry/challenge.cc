#include "registry/challenge.h"

#include <optional>

#include "base/text.h"

namespace weighbridge::registry {
namespace {

constexpr std::size_t kMaxChallenges = 16;
constexpr std::size_t kMaxParameters = 16;

bool is_token_character(char c) {
  constexpr std::string_view kPunctuation = "!#$%&'*+-.^_`|~";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         kPunctuation.find(c) != std::string_view::npos;
}

// Reads a header from its front. Confined.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}

  bool at_end() const { return rest_.empty(); }

  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) {
      return false;
    }
    rest_.remove_prefix(1);
    return true;
  }

  void skip_spaces() {
    while (take(' ') || take('\t')) {
    }
  }

  // Spaces and empty list elements.
  void skip_separators() {
    while (take(' ') || take('\t') || take(',')) {
    }
  }

  std::string_view token() {
    std::size_t size = 0;
    while (size < rest_.size() && is_token_character(rest_[size])) {
      ++size;
    }
    const std::string_view token = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return token;
  }

  // A token or a quoted string; nothing if it is neither.
  std::optional<std::string> value() {
    if (!take('"')) {
      const std::string_view plain = token();
      return plain.empty() ? std::nullopt : std::optional<std::string>(plain);
    }
    std::string text;
    while (!rest_.empty()) {
      if (take('"')) {
        return text;
      }
      take('\\');
      if (!rest_.empty()) {
        text += rest_.front();
        rest_.remove_prefix(1);
      }
    }
    return std::nullopt;
  }

  // `name=value`, or nothing and the cursor stands where it stood: the word begins a challenge.
  std::optional<net::HttpHeader> parameter() {
    const std::string_view before = rest_;
    const std::string_view name = token();
    skip_spaces();
    if (!name.empty() && take('=')) {
      skip_spaces();
      if (auto text = value()) {
        return net::HttpHeader{base::to_lower(name), std::move(*text)};
      }
    }
    rest_ = before;
    return std::nullopt;
  }

 private:
  std::string_view rest_;
};

}  // namespace

std::string_view Challenge::parameter(std::string_view name) const {
  for (const net::HttpHeader& parameter : parameters) {
    if (parameter.name == name) {
      return parameter.value;
    }
  }
  return {};
}

std::vector<Challenge> parse_challenges(std::string_view header) {
  std::vector<Challenge> challenges;
  Cursor cursor(header);
  cursor.skip_separators();
  while (!cursor.at_end() && challenges.size() < kMaxChallenges) {
    Challenge challenge;
    challenge.scheme = base::to_lower(cursor.token());
    if (challenge.scheme.empty()) {
      return challenges;
    }
    cursor.skip_separators();
    while (auto parameter = cursor.parameter()) {
      if (challenge.parameters.size() < kMaxParameters) {
        challenge.parameters.push_back(std::move(*parameter));
      }
      cursor.skip_separators();
    }
    challenges.push_back(std::move(challenge));
  }
  return challenges;
}

}  // namespace weighbridge::registry
