#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace weighbridge::pack {

// A file in an archive: a path that may stand in a Snapshot, and its size.
struct Entry {
  std::string path;
  std::uint64_t size = 0;
  bool executable = false;
};

// Where the files of an archive go, one after another. Nothing of them is proved before the layer
// has been read to its end: what is written is held back until LayerUnpacker::finish() succeeds,
// and thrown away if it does not. Confined to the thread that unpacks.
class EntrySink {
 public:
  EntrySink() = default;
  EntrySink(const EntrySink&) = delete;
  EntrySink& operator=(const EntrySink&) = delete;
  virtual ~EntrySink() = default;

  // A file begins. Its path is unlike all others of the artifact, also in its case.
  virtual base::Result<void> begin(const Entry& entry) = 0;
  // The next bytes of the file; together exactly `Entry::size`.
  virtual base::Result<void> write(std::span<const std::byte> bytes) = 0;
  virtual base::Result<void> end() = 0;
};

}  // namespace weighbridge::pack
