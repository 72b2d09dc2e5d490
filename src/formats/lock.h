#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "hash/digest.h"

namespace weighbridge::formats {

// The lock file: which content each of some Refs is to be. (docs/formats/lock.md)
inline constexpr std::string_view kLockName = "weighbridge.lock";
inline constexpr unsigned kLockVersion = 1;
inline constexpr std::uint64_t kMaxLockBytes = 16ULL * 1024 * 1024;

struct LockEntry {
  std::string ref;  // printable, and nothing of it hidden
  hash::Root content_id;
  std::optional<hash::Sha256Digest> seal_sha256;

  friend bool operator==(const LockEntry&, const LockEntry&) = default;
};

// A value; Thread-compatible.
struct Lock {
  std::vector<LockEntry> entries;  // in byte order of their Refs, each once

  // Null if it is not locked. Borrows from the lock.
  const LockEntry* find(std::string_view ref) const;
  // Adds the entry, or puts it in the place of the one with its Ref.
  void put(LockEntry entry);

  friend bool operator==(const Lock&, const Lock&) = default;
};

// The canonical bytes. kInvalid for a Ref that cannot be locked, or entries out of order.
base::Result<std::vector<std::byte>> write_lock(const Lock& lock);

// kCorrupt, with the line, for anything that write_lock() would not have written; kUnsupported for
// a newer version.
base::Result<Lock> parse_lock(std::span<const std::byte> bytes);

}  // namespace weighbridge::formats
