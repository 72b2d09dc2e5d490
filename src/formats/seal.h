#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/range.h"
#include "base/result.h"
#include "hash/digest.h"
#include "model/snapshot.h"

namespace weighbridge::formats {

// The seal: a Snapshot made portable, as bytes. (docs/formats/seal.md)
inline constexpr std::string_view kSealName = "weighbridge.seal";
inline constexpr std::uint64_t kMaxSealBytes = 2'000'000'000;
inline constexpr std::uint64_t kMaxSealFiles = 1'000'000;
// A tensor of at least this many bytes carries a hint.
inline constexpr std::uint64_t kMinHintedBytes = 1024 * 1024;

struct TensorHint {
  base::Range bytes;  // absolute in the file
  hash::Hint hint;
};

struct SealedFile {
  std::string path;
  std::uint64_t size = 0;
  bool executable = false;
  hash::Sha256Digest sha256;
  hash::Root root;
  std::vector<hash::ChainingValue> pieces;  // empty for at most 1 MiB
  std::vector<TensorHint> hints;            // in order, not overlapping
};

struct Seal {
  std::vector<SealedFile> files;  // in byte order of paths, each path once
};

// The canonical bytes: one Seal, one text. kInvalid for a Seal that breaks the format's rules.
base::Result<std::vector<std::byte>> write_seal(const Seal& seal);

// kCorrupt, with the offset, for bytes that are not canonical, whose closing digest or merged
// pieces do not agree, or that end early or late; kUnsupported for a newer version.
base::Result<Seal> parse_seal(std::span<const std::byte> bytes);

// The files of the seal as a listed Snapshot with every digest in place, held with `trust`.
model::Snapshot snapshot_of(Seal seal,
                            std::string origin,
                            hash::Sha256Digest seal_sha256,
                            model::Trust trust);

// May this path, '/'-separated below a directory's root, stand in a seal of that directory?
// Not `.git`, `.cache` and `.weighbridge*` at any depth, nor the root's own weighbridge.seal.
bool is_sealable(std::string_view path);

}  // namespace weighbridge::formats
