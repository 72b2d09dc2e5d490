#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "formats/safetensors.h"
#include "formats/seal.h"
#include "hash/digest.h"
#include "model/snapshot.h"

namespace weighbridge::pack {

// What is known of one side of a comparison.
struct Comparable {
  model::Snapshot snapshot;
  // By path; what was not read is not there.
  std::map<std::string, formats::SafetensorsTable> tables;
  // Hints of tensors, by path, from the seal. They say what is probably equal, and prove nothing.
  std::map<std::string, std::vector<formats::TensorHint>> hints;
};

enum class Change : std::uint8_t { kSame, kChanged, kAdded, kRemoved, kUnknown };

std::string_view name_of(Change change);  // "same"

struct FileChange {
  std::string path;
  Change change = Change::kSame;  // kUnknown: no digest in common
  std::uint64_t old_bytes = 0;
  std::uint64_t new_bytes = 0;
  // Of the new bytes, those that stand in the old side too: in an equal file, in pieces at the same
  // place, or in tensors with equal hints.
  std::uint64_t shared_bytes = 0;
};

struct TensorChange {
  std::string name;
  Change change = Change::kSame;  // kUnknown: same type and shape, and no hint on both sides
  std::string old_file;
  std::string new_file;
  std::uint64_t new_bytes = 0;
};

// Two Snapshots compared: what a pull of the new one changes where the old one is.
struct Difference {
  std::vector<FileChange> files;      // in byte order of paths
  std::vector<TensorChange> tensors;  // in byte order of names; of files whose tables are known
  std::uint64_t new_bytes = 0;
  std::uint64_t shared_bytes = 0;

  bool same() const;
};

Difference compare(const Comparable& before, const Comparable& after);

}  // namespace weighbridge::pack
