#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "hash/digest.h"
#include "model/snapshot.h"
#include "store/blobs.h"
#include "store/home.h"
#include "store/refs.h"

namespace weighbridge::store {

// One file of a snapshot directory.
struct SnapshotFile {
  std::string path;
  std::uint64_t size = 0;
  bool executable = false;
  hash::Root root;

  friend bool operator==(const SnapshotFile&, const SnapshotFile&) = default;
};

// No list that is read is longer than this.
inline constexpr std::uint64_t kMaxListBytes = 256ULL * 1024 * 1024;

// The records that content_id digests, read back. kCorrupt for bytes that are not the list of
// `content_id`, or name what may not stand in a Snapshot.
base::Result<std::vector<SnapshotFile>> parse_list(std::span<const std::byte> bytes,
                                                   const hash::Root& content_id);

// Snapshots as directories: the files under their own names, hard links to blobs. They are for
// reading: who writes through one changes the blob, which scrub will notice.
// Thread-safe, and safe for several processes on one home.
class Snapshots {
 public:
  // Borrows both for its life.
  Snapshots(Home& home, const Blobs& blobs) : home_(home), blobs_(blobs) {}

  // Makes the directory, or what is missing of it, durably, and returns its path. Every root is
  // known and its blob there (kNotFound if one is not). Several names may be needed for a blob that
  // has as many as the file system allows; those are copies.
  base::Result<std::string> make(const base::Call& call, std::span<const model::File> files);

  // What a finished directory consists of, if every file of it is there.
  base::Result<std::optional<std::vector<SnapshotFile>>> find(const hash::Root& content_id) const;

  std::string directory(const hash::Root& content_id) const;

  // The finished ones.
  base::Result<std::vector<hash::Root>> all() const;

  // Takes the directory away; its blobs stay. Absent is as good.
  base::Result<void> remove(const base::Call& call, const hash::Root& content_id);

 private:
  base::Result<void> put(const base::Call& call, const std::string& path, const model::File& file);
  base::Result<void> replace(const BlobFile& blob, const std::string& path, bool executable);
  base::Result<void> copy(const BlobFile& blob, const std::string& path, bool executable);
  base::Result<bool> stands(const std::string& path, const BlobFile& blob) const;

  Home& home_;
  const Blobs& blobs_;
};

// The list of a snapshot directory, as a path.
std::string list_path(const Home& home, const hash::Root& content_id);
// As it was written; kNotFound if there is none.
base::Result<std::vector<SnapshotFile>> read_list(const Home& home, const hash::Root& content_id);
// The blobs of the snapshots that any Ref pins.
base::Result<std::set<hash::Root>> pinned_blobs(const Home& home, const Refs& refs);

}  // namespace weighbridge::store
