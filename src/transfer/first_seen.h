#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "hash/digest.h"
#include "model/snapshot.h"
#include "sync/guarded.h"

namespace weighbridge::transfer {

// What this process saw first, piece by piece, and holds later reads to: for files of which nobody
// says what their bytes are.
// Thread-safe.
class FirstSeen {
 public:
  // Remembers the piece, or compares it with what is remembered. kCorrupt if it differs while the
  // origin says that the file has not changed (or cannot say). A file whose validator or size is
  // another one is a new revision: what was known of it is forgotten.
  // `identity`: the file's Source::identity.
  base::Result<void> hold(const std::string& identity,
                          const model::File& file,
                          std::uint64_t piece,
                          const hash::ChainingValue& value);

  // Every piece of a file whose digest has matched: whatever came earlier was wrong or is older.
  void replace(const std::string& identity,
               const model::File& file,
               std::span<const hash::ChainingValue> values);

  // The root of the file if every piece of it has been seen.
  std::optional<hash::Root> root(const std::string& identity, const model::File& file) const;

 private:
  struct Known {
    std::uint64_t size = 0;
    model::Validator validator;
    std::map<std::uint64_t, hash::ChainingValue> pieces;  // only those that came: a size may lie
  };

  sync::Guarded<std::map<std::string, Known>> files_;
};

}  // namespace weighbridge::transfer
