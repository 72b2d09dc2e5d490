#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/call.h"
#include "hash/digest.h"
#include "io/file_system.h"
#include "model/snapshot.h"
#include "store/blobs.h"
#include "store/home.h"
#include "store/refs.h"
#include "store/snapshots.h"
#include "store/space.h"
#include "testing/faulty_file_system.h"
#include "testing/manual_clock.h"
#include "testing/scratch_directory.h"

namespace weighbridge::store::testing {

using Bytes = std::vector<std::byte>;

// Always the same for a seed.
Bytes bytes_of(std::uint64_t seed, std::size_t size);
// The chaining value of each piece; of an only piece, the root.
std::vector<hash::ChainingValue> values_of(const Bytes& bytes);
// As a seal says it: with root and pieces.
model::File sealed(const std::string& path, const Bytes& bytes);
// As a hub says it: with the SHA-256 alone.
model::File with_sha256(const std::string& path, const Bytes& bytes);
// All of a blob, read back.
Bytes contents_of(const BlobFile& blob);

// A store as one process has it open. Confined to one thread.
struct Opened {
  std::unique_ptr<Home> home;
  std::unique_ptr<Space> space;
  std::unique_ptr<Blobs> blobs;
  std::unique_ptr<Snapshots> snapshots;
  std::unique_ptr<Refs> refs;
};

base::Result<Opened> open_store(io::FileSystem& files,
                                const std::string& path,
                                SpaceLimits limits = {},
                                std::uint64_t checkpoint_bytes = kCheckpointBytes);

// Writes what is missing of the file, piece by piece, and adds to `written`, if given, the pieces.
base::Result<void> fill(BlobWriter& writer, const Bytes& bytes, std::uint64_t* written = nullptr);
// Begins, fills and commits, or leases what is there.
base::Result<BlobFile> fetch(const base::Call& call,
                             Blobs& blobs,
                             const model::File& file,
                             const Bytes& bytes,
                             std::uint64_t* written = nullptr);

// A disk that fails when told to, a clock that stands, and a store on them. Confined to a test.
struct World {
  const weighbridge::testing::ScratchDirectory scratch;
  const std::unique_ptr<io::FileSystem> real = io::real_file_system();
  weighbridge::testing::FaultyFileSystem disk{*real};
  const weighbridge::testing::ManualClock clock{
      weighbridge::testing::ManualClock::Waits::kJumpToTheirEnd};
  const base::Call call{clock};
  const std::string home = scratch / "home";

  Opened open(SpaceLimits limits = {}) { return open_store(disk, home, limits).value(); }
};

}  // namespace weighbridge::store::testing
