#include "registry/reference.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace weighbridge::registry {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr std::string_view kScheme = "oci://";
constexpr std::size_t kLongestReference = 4096;
constexpr std::size_t kLongestHost = 255;
constexpr std::size_t kLongestRepository = 255;
constexpr std::size_t kLongestTag = 128;
constexpr std::string_view kDockerHub = "docker.io";

bool is_lower_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_letter_or_digit(char c) {
  return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

// [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*
bool is_path_component(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t word = at;
    while (at < text.size() && is_lower_or_digit(text[at])) {
      ++at;
    }
    if (at == word) {
      return false;
    }
    if (at == text.size()) {
      return true;
    }
    const std::size_t separator = at;
    while (at < text.size() && !is_lower_or_digit(text[at])) {
      ++at;
    }
    const std::string_view between = text.substr(separator, at - separator);
    const bool dashes = between.find_first_not_of('-') == std::string_view::npos;
    if (between != "." && between != "_" && between != "__" && !dashes) {
      return false;
    }
  }
  return false;
}

bool is_domain_component(std::string_view text) {
  return !text.empty() && is_letter_or_digit(text.front()) && is_letter_or_digit(text.back()) &&
         std::all_of(
             text.begin(), text.end(), [](char c) { return is_letter_or_digit(c) || c == '-'; });
}

// Where the port begins, with its colon; the size if there is none.
std::size_t port_begin(std::string_view host) {
  const std::size_t bracket = host.rfind(']');
  const std::size_t colon = host.find(':', bracket == std::string_view::npos ? 0 : bracket);
  return std::min(colon, host.size());
}

bool is_port(std::string_view text) {
  const auto port = base::parse_decimal(text);
  return port && *port > 0 && *port < 65536 && text.size() <= 5;
}

bool is_bracketed_address(std::string_view text) {
  if (text.size() < 4 || text.front() != '[' || text.back() != ']') {
    return false;
  }
  const std::string_view inside = text.substr(1, text.size() - 2);
  return inside.find_first_not_of("0123456789abcdefABCDEF:.") == std::string_view::npos &&
         inside.find(':') != std::string_view::npos;
}

// Never repeats the text: one that was mistyped may hold a password.
Error refused(std::string_view why) {
  return Error(Code::kInvalid, fmt::format("no reference to an artifact: {}", why))
      .with_hint("A reference to an artifact is host[:port]/repository[:tag][@digest].");
}

}  // namespace

std::string to_text(const TagOrDigest& name) {
  if (const auto* tag = std::get_if<std::string>(&name)) {
    return *tag;
  }
  return std::get<Digest>(name).text();
}

bool is_repository(std::string_view text) {
  if (text.size() > kLongestRepository) {
    return false;
  }
  const auto parts = base::split(text, '/');
  return std::all_of(parts.begin(), parts.end(), is_path_component);
}

bool is_tag(std::string_view text) {
  const auto word = [](char c) { return is_letter_or_digit(c) || c == '_'; };
  return !text.empty() && text.size() <= kLongestTag && word(text.front()) &&
         std::all_of(
             text.begin(), text.end(), [&](char c) { return word(c) || c == '.' || c == '-'; });
}

bool is_host(std::string_view text) {
  if (text.size() > kLongestHost) {
    return false;
  }
  const std::size_t port = port_begin(text);
  if (port < text.size() && !is_port(text.substr(port + 1))) {
    return false;
  }
  const std::string_view name = text.substr(0, port);
  if (is_bracketed_address(name)) {
    return true;
  }
  const auto parts = base::split(name, '.');
  return std::all_of(parts.begin(), parts.end(), is_domain_component);
}

std::string canonical_host(std::string_view host) {
  std::string lower = base::to_lower(host);
  const bool docker_hub =
      lower == "index.docker.io" || lower == "registry-1.docker.io" || lower == "www.docker.io";
  return docker_hub ? std::string(kDockerHub) : lower;
}

bool is_loopback(std::string_view host) {
  const std::string name = base::to_lower(host.substr(0, port_begin(host)));
  if (name == "localhost" || name == "[::1]") {
    return true;
  }
  const auto parts = base::split(name, '.');
  return parts.size() == 4 && parts[0] == "127" &&
         std::all_of(parts.begin(), parts.end(), [](std::string_view part) {
           const auto number = base::parse_decimal(part);
           return number && *number < 256 && part.size() <= 3;
         });
}

Result<Reference> Reference::parse(std::string_view text) {
  if (text.size() > kLongestReference) {
    return refused("longer than 4096 characters");
  }
  std::string_view rest = text.starts_with(kScheme) ? text.substr(kScheme.size()) : text;
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos) {
    return refused("a host and a repository are needed");
  }
  const std::string_view host = rest.substr(0, slash);
  if (!is_host(host)) {
    return refused("the part before the first '/' is not a host");
  }
  Reference reference;
  reference.host = canonical_host(host);
  rest.remove_prefix(slash + 1);
  if (const std::size_t at = rest.find('@'); at != std::string_view::npos) {
    reference.digest = TRY(Digest::parse(rest.substr(at + 1)));
    rest = rest.substr(0, at);
  }
  if (const std::size_t colon = rest.find(':'); colon != std::string_view::npos) {
    reference.tag = std::string(rest.substr(colon + 1));
    rest = rest.substr(0, colon);
    if (!is_tag(*reference.tag)) {
      return refused("a tag is 1 to 128 of A-Z a-z 0-9 _ . - and does not begin with . or -");
    }
  }
  if (!is_repository(rest)) {
    return refused(
        "a repository is lower-case words of a-z and 0-9, joined by . _ __ or -, in "
        "parts joined by '/', 255 characters at most");
  }
  reference.repository = rest;
  if (reference.host == kDockerHub && rest.find('/') == std::string_view::npos) {
    reference.repository.insert(0, "library/");
  }
  return reference;
}

std::string Reference::text() const {
  std::string text = host + "/" + repository;
  if (tag) {
    text += ":" + *tag;
  }
  if (digest) {
    text += "@" + digest->text();
  }
  return text;
}

TagOrDigest Reference::name() const {
  if (digest) {
    return *digest;
  }
  return tag.value_or("latest");
}

}  // namespace weighbridge::registry
