#include "model/ref.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"

namespace weighbridge::model {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr std::size_t kMaxRefBytes = 8 * base::kKiB;
constexpr std::string_view kSha256Pin = "sha256=";
constexpr std::string_view kBlake3Pin = "blake3=";

struct SchemeRule {
  std::string_view name;
  Scheme scheme;
  // May a user and a password stand before the host? Elsewhere an '@' there is refused, so that
  // a token somebody puts in front never becomes part of a name that we print.
  bool may_have_user;
};

constexpr std::array kSchemes = {
    SchemeRule{"file", Scheme::kFile, false},
    SchemeRule{"http", Scheme::kHttp, true},
    SchemeRule{"https", Scheme::kHttp, true},
    SchemeRule{"oci", Scheme::kOci, true},
    SchemeRule{"s3", Scheme::kS3, true},
    SchemeRule{"oss", Scheme::kOss, true},
    SchemeRule{"hf", Scheme::kHf, false},
    SchemeRule{"modelscope", Scheme::kModelscope, false},
    SchemeRule{"nfs", Scheme::kNfs, true},
    SchemeRule{"cache", Scheme::kCache, false},
};

// What stands before the pin, and the pin without its '#'; an empty pin is none.
struct PinSplit {
  std::string_view location;
  std::string_view pin;
};

// Messages never repeat the reference: it may hold credentials.
Error invalid(std::string message) {
  return Error(Code::kInvalid, std::move(message))
      .with_hint(
          "A reference looks like https://host/model/, file:///path, ./path, hf://org/name@rev, "
          "oci://host/repo:tag or name:tag.");
}

Error invalid_pin(std::string_view problem) {
  return Error(Code::kInvalid, std::string(problem))
      .with_hint(
          "A reference ends in at most one pin: #sha256= or #blake3= and 64 lower-case "
          "hexadecimal digits.");
}

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
}

bool looks_like_pin(std::string_view fragment) {
  return fragment.starts_with(kSha256Pin) || fragment.starts_with(kBlake3Pin);
}

// A '#' is a good character in a file name: in a path it opens a pin only if one follows.
Result<PinSplit> split_path(std::string_view text) {
  const std::size_t mark = text.rfind('#');
  if (mark == std::string_view::npos || !looks_like_pin(text.substr(mark + 1))) {
    return PinSplit{text, {}};
  }
  const std::string_view location = text.substr(0, mark);
  if (const std::size_t second = location.rfind('#');
      second != std::string_view::npos && looks_like_pin(location.substr(second + 1))) {
    return invalid_pin("the reference has two pins");
  }
  return PinSplit{location, text.substr(mark + 1)};
}

Result<PinSplit> split_url(std::string_view text) {
  const std::size_t mark = text.find('#');
  if (mark == std::string_view::npos) {
    return PinSplit{text, {}};
  }
  const std::string_view fragment = text.substr(mark + 1);
  if (!looks_like_pin(fragment)) {
    return invalid_pin("what follows the '#' is not a pin");
  }
  if (fragment.find('#') != std::string_view::npos) {
    return invalid_pin("the reference has two pins");
  }
  return PinSplit{text.substr(0, mark), fragment};
}

template <typename Digest>
Result<Digest> parse_pin(std::string_view hex) {
  const auto digest = Digest::from_hex(hex);
  if (!digest) {
    return invalid_pin("the pin is not 64 lower-case hexadecimal digits");
  }
  return *digest;
}

Result<std::string> percent_decoded(std::string_view path) {
  std::string decoded;
  while (!path.empty()) {
    if (path[0] != '%') {
      decoded += path[0];
      path.remove_prefix(1);
      continue;
    }
    std::array<std::byte, 1> byte{};
    if (!base::from_hex(path.substr(1, 2), byte)) {
      return invalid("a '%' in a file:// URL is followed by two hexadecimal digits");
    }
    decoded += static_cast<char>(byte[0]);
    path.remove_prefix(3);
  }
  if (std::ranges::any_of(decoded, is_control)) {
    return invalid("the path of the file:// URL holds a control character");
  }
  return decoded;
}

Result<std::string> path_of_file_url(std::string_view rest) {
  const std::size_t slash = rest.find('/');
  const std::string_view host = rest.substr(0, slash);
  if (slash == std::string_view::npos || (!host.empty() && host != "localhost")) {
    return invalid("a file:// URL names an absolute path on this machine, as file:///path");
  }
  if (rest.find('?') != std::string_view::npos) {
    return invalid("a file:// URL has no query; a '?' in a file name is written %3F");
  }
  return percent_decoded(rest.substr(slash));
}

// What a URL names first: host, bucket or organisation, with a user and a port where given.
std::string_view authority_of(std::string_view rest) {
  return rest.substr(0, rest.find_first_of("/?#"));
}

// host, host:port or [v6]:port.
bool is_plain_host(std::string_view host) {
  const std::size_t bracket = host.rfind(']');
  const std::size_t colon = host.find(':', bracket == std::string_view::npos ? 0 : bracket);
  return colon == std::string_view::npos ||
         host.substr(colon + 1).find_first_not_of("0123456789") == std::string_view::npos;
}

// A password with a '/' or '?' ends the authority too early: what follows the ':' is then no port,
// and the '@' comes later. An '@' after a plain host is a revision or a digest.
bool begins_in_a_password(std::string_view rest) {
  std::string_view host = authority_of(rest);
  const std::string_view after = rest.substr(host.size());
  host.remove_prefix(host.rfind('@') + 1);  // npos + 1 is 0
  return !is_plain_host(host) && after.find('@') != std::string_view::npos;
}

// "user:12/secret@host/" reads as a port and a path. Only where the client refuses it too: an '@'
// after the port of a registry is a digest.
bool port_may_be_password(std::string_view rest) {
  const std::string_view host = authority_of(rest);
  const std::string_view after = rest.substr(host.size());
  return !host.starts_with('[') && host.find(':') != std::string_view::npos &&
         host.find('@') == std::string_view::npos &&
         after.substr(0, after.find_first_of("?#")).find('@') != std::string_view::npos;
}

// A URL with a typo, as `http:/me:secret@host/`, is a path; nobody means a password to be printed.
std::string without_mistyped_user(std::string_view path) {
  const std::size_t colon = path.find(':');
  const std::size_t at = path.rfind('@');
  if (colon == std::string_view::npos || at == std::string_view::npos || at < colon) {
    return std::string(path);
  }
  return fmt::format("{}:...{}", path.substr(0, colon), path.substr(at));
}

Result<void> check_authority(const SchemeRule& rule, std::string_view authority) {
  const std::size_t at = authority.rfind('@');
  if (at != std::string_view::npos && !rule.may_have_user) {
    return invalid(fmt::format("a {}:// reference has no '@' before its first '/'", rule.name));
  }
  const std::string_view host = at == std::string_view::npos ? authority : authority.substr(at + 1);
  if (host.empty() || host[0] == ':') {
    return invalid(fmt::format("nothing is named after {}://", rule.name));
  }
  if (authority.find_first_of(" \\") != std::string_view::npos) {
    return invalid(fmt::format("a space or backslash stands in the name after {}://", rule.name));
  }
  return {};
}

Result<SchemeRule> scheme_named(std::string_view name) {
  const auto rule = std::ranges::find(kSchemes, name, &SchemeRule::name);
  if (rule == kSchemes.end()) {
    return invalid(
        fmt::format("\"{}\" is not a scheme we know (lower case: file, http, https, "
                    "oci, s3, oss, hf, modelscope, nfs, cache)",
                    base::printable(name, 32)));
  }
  return *rule;
}

// `name:tag`, exactly one colon between two texts: a name in the store. `a:b:c` is a path.
bool has_name_shape(std::string_view location) {
  const auto parts = base::split(location, ':');
  return parts.size() == 2 && !parts[0].empty() && !parts[1].empty() &&
         location.find('/') == std::string_view::npos;
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-' || c == ':';
}

// Scheme and location of what has no "://".
Result<Scheme> scheme_of_plain(std::string_view location) {
  if (location.empty()) {
    return invalid("the reference names nothing");
  }
  if (!has_name_shape(location)) {
    return Scheme::kFile;
  }
  if (!std::ranges::all_of(location, is_name_character)) {
    return invalid(
        "a name in the store is made of letters, digits, '.', '_' and '-', then ':' and "
        "a tag; a file of this name is written with ./ in front");
  }
  return Scheme::kName;
}

}  // namespace

Result<Ref> Ref::parse(std::string_view text) {
  if (text.size() > kMaxRefBytes) {
    return invalid(fmt::format("the reference is longer than {} bytes", kMaxRefBytes));
  }
  if (std::ranges::any_of(text, is_control)) {
    return invalid("the reference holds a control character");
  }
  const std::size_t colon = text.find("://");
  const bool is_url = colon != std::string_view::npos;
  const PinSplit split = TRY(is_url ? split_url(text) : split_path(text));
  Ref ref;
  ref.text_ = text;
  ref.location_ = split.location;
  if (is_url) {
    TRY(ref.take_url(colon));
  } else {
    ref.scheme_ = TRY(scheme_of_plain(split.location));
  }
  if (split.pin.starts_with(kSha256Pin)) {
    ref.sha256_ = TRY(parse_pin<hash::Sha256Digest>(split.pin.substr(kSha256Pin.size())));
  } else if (split.pin.starts_with(kBlake3Pin)) {
    ref.root_ = TRY(parse_pin<hash::Root>(split.pin.substr(kBlake3Pin.size())));
  }
  return ref;
}

Result<void> Ref::take_url(std::size_t colon) {
  if (base::printable(text_, text_.size()) != text_) {
    return invalid("a URL is UTF-8 without control characters");
  }
  const std::string_view url = location_;
  if (colon >= url.size()) {
    return invalid_pin("what follows the '#' is not a pin");
  }
  const SchemeRule rule = TRY(scheme_named(url.substr(0, colon)));
  const std::string_view rest = url.substr(colon + 3);
  scheme_ = rule.scheme;
  if (scheme_ == Scheme::kFile) {
    location_ = TRY(path_of_file_url(rest));
    return {};
  }
  return check_authority(rule, authority_of(rest));
}

std::string Ref::printable() const {
  const std::size_t colon = text_.find("://");
  if (colon == std::string::npos) {
    return base::printable(without_mistyped_user(text_), kMaxRefBytes * 4);
  }
  if (scheme_ == Scheme::kFile) {
    return base::printable(text_, kMaxRefBytes * 4);
  }
  const std::string_view rest = std::string_view(text_).substr(colon + 3);
  const std::string_view pin =
      rest.find('#') == std::string_view::npos ? "" : rest.substr(rest.find('#'));
  std::string_view shown = rest.substr(0, rest.find_first_of("?#"));
  if (const std::size_t at = authority_of(rest).rfind('@'); at != std::string_view::npos) {
    shown.remove_prefix(at + 1);
  }
  if (begins_in_a_password(rest.substr(0, rest.find('#'))) ||
      (scheme_ == Scheme::kHttp && port_may_be_password(rest))) {
    shown = "...";
  }
  return fmt::format("{}{}{}", std::string_view(text_).substr(0, colon + 3), shown, pin);
}

}  // namespace weighbridge::model
