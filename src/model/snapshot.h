#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hash/digest.h"
#include "model/proof.h"

namespace weighbridge::model {

// What an origin says of the revision of one file, to notice that it changed. Empty: not known.
struct Validator {
  std::string etag;
  std::string last_modified;

  friend bool operator==(const Validator&, const Validator&) = default;
};

// One file of a Snapshot. `path` is relative, '/'-separated, with no empty, "." or ".." part.
struct File {
  std::string path;
  std::uint64_t size = 0;
  bool executable = false;
  // What is known of its bytes, and who says so. `pieces` is empty when only the root is known,
  // or when the file is a single piece.
  std::optional<hash::Sha256Digest> sha256;
  std::optional<hash::Root> root;
  std::vector<hash::ChainingValue> pieces;
  Trust trust = Trust::kNone;
  Validator validator;

  // How a read of this file is proved: by pieces, by root, by SHA-256, or not at all.
  Method method() const;
};

// A name that stands where files were looked for, and is none that could be read.
struct Refused {
  std::string path;
  std::string reason;
};

// A Ref resolved: an immutable list of files, in byte order of their paths.
struct Snapshot {
  std::string origin;  // the Ref in its printable form
  std::vector<File> files;
  // What a listing found and could not take, such as a link to nothing. In byte order of paths.
  std::vector<Refused> refused;
  // True when `files` is all there is. An HTTP folder without a seal cannot be listed.
  bool listed = false;
  // The SHA-256 of the seal's bytes, if the snapshot came from one.
  std::optional<hash::Sha256Digest> seal_sha256;
  std::optional<hash::Root> content_id;

  // By exact path; null if absent. Borrows from the snapshot.
  const File* find(std::string_view path) const;
};

// BLAKE3 over the records `<root hex> <size> <x or -> <path>` NUL, in byte order of paths; nothing
// unless every file's root is known. The same from every source. (docs/formats/seal.md)
std::optional<hash::Root> content_id(std::span<const File> files);

// A path that may stand in a Snapshot: relative, UTF-8, no control characters, no empty, "." or
// ".." part, no backslash, at most 4096 bytes.
bool is_snapshot_path(std::string_view path);

}  // namespace weighbridge::model
