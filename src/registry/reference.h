#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "registry/digest.h"

namespace weighbridge::registry {

// A manifest's name inside a repository: a tag, which may move, or a digest, which cannot.
using TagOrDigest = std::variant<std::string, Digest>;

std::string to_text(const TagOrDigest& name);

// Where an artifact lives: `host[:port]/repository[:tag][@digest]`, in the grammar of the
// distribution project. The first part is always a host. `docker.io/name` means
// `docker.io/library/name`, `index.docker.io` is `docker.io`. A value. Thread-compatible.
struct Reference {
  std::string host;        // lower case; with the port, where one was given; IPv6 in brackets
  std::string repository;  // "org/model"
  std::optional<std::string> tag;
  std::optional<Digest> digest;

  // With or without `oci://` in front. kInvalid, saying what is wrong and what a reference looks
  // like: no host or repository, upper case in the repository, a host above 255 or a repository
  // above 255 characters, a tag above 128, characters the grammar does not have, a malformed
  // digest. kUnsupported: a digest of an algorithm that we cannot check.
  static base::Result<Reference> parse(std::string_view text);

  // `host/repository[:tag][@digest]`; parses to the same value.
  std::string text() const;

  // What to ask the registry for: the digest where there is one, else the tag, else "latest".
  TagOrDigest name() const;

  friend bool operator==(const Reference&, const Reference&) = default;
};

bool is_repository(std::string_view text);
bool is_tag(std::string_view text);
// A host or host:port of the grammar, in any case.
bool is_host(std::string_view text);

// The host in the one form it is looked up by: lower case, docker.io's other names resolved.
std::string canonical_host(std::string_view host);

// "localhost", 127.0.0.0/8 or [::1], with any port: spoken to in plain HTTP without being told.
bool is_loopback(std::string_view host);

}  // namespace weighbridge::registry
