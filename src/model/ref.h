#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "hash/digest.h"

namespace weighbridge::model {

enum class Scheme : std::uint8_t {
  kFile,  // file:///path, or a bare path
  kHttp,  // http:// and https://
  kOci,
  kS3,
  kOss,
  kHf,
  kModelscope,
  kNfs,
  kCache,
  kName,  // name:tag in the local store
};

// Where a model lives, parsed in one place and printed back identically.
// `#sha256=<hex>` pins the seal or the single file, `#blake3=<hex>` the root of a single file.
// Without `://`, `name:tag` with no slash is a name in the store, anything else a path.
// A value; Thread-compatible.
class Ref {
 public:
  // kInvalid, saying what is wrong and what a reference looks like, and never repeating it (it may
  // hold credentials): unknown scheme or pin, two pins, empty location, control characters, bytes
  // that are not UTF-8 in a URL, a user where the scheme has none, longer than 8 KiB.
  static base::Result<Ref> parse(std::string_view text);

  Scheme scheme() const { return scheme_; }

  // The text as it was given.
  const std::string& text() const { return text_; }

  // For people, logs and JSON: no userinfo, no query (both may hold credentials), the pin kept.
  // What may be a URL with a password that was mistyped is cut short by "...".
  std::string printable() const;

  // Without the pin: the URL, or for files the path (file:// taken off, percent-decoded).
  const std::string& location() const { return location_; }

  const std::optional<hash::Sha256Digest>& pinned_sha256() const { return sha256_; }

  const std::optional<hash::Root>& pinned_root() const { return root_; }

 private:
  Ref() = default;

  // Scheme and location of the URL that stands in location_, its scheme ending at `colon`.
  base::Result<void> take_url(std::size_t colon);

  Scheme scheme_ = Scheme::kFile;
  std::string text_;
  std::string location_;
  std::optional<hash::Sha256Digest> sha256_;
  std::optional<hash::Root> root_;
};

}  // namespace weighbridge::model
