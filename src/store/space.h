#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "hash/digest.h"
#include "io/file_system.h"
#include "store/home.h"

namespace weighbridge::store {

// How much of the disk the store may have.
struct SpaceLimits {
  std::optional<std::uint64_t> quota_bytes;  // of everything below blobs/ and partial/
  std::uint64_t floor_bytes = 0;             // free space that is left to others
};

// What gc did, or would do.
struct Evicted {
  struct Blob {
    hash::Root root;
    std::uint64_t bytes = 0;  // on the disk
    // Names outside <home> that keep those bytes on the disk.
    std::uint64_t foreign_links = 0;
  };

  std::vector<Blob> blobs;        // in the order in which they go
  std::uint64_t freed_bytes = 0;  // of those without foreign links
  std::uint64_t passed_by = 0;    // leased or pinned
  std::uint64_t leftovers = 0;    // removed: unfinished files and snapshots, seals of nothing
};

struct GcOptions {
  bool dry_run = false;
  // Until so much has come free; everything that may go, if absent.
  std::optional<std::uint64_t> wanted_bytes = {};
  // Only blobs that no Ref and no pin names, and that nobody used within the last hour.
  bool unnamed_only = false;
};

// Gives out the disk: admits newcomers, and evicts least recently used blobs for them that nobody
// leases and no pin protects. Thread-safe, and safe for several processes on one home.
class Space {
 public:
  // Borrows `home` for its life.
  Space(Home& home, SpaceLimits limits) : home_(home), limits_(limits) {}

  // Admits `bytes` and calls `take`, which reserves them; nobody else is admitted meanwhile.
  // Evicts first if need be. kExhausted, and nothing evicted in vain, if that cannot make room.
  base::Result<void> admit(const base::Call& call,
                           std::uint64_t bytes,
                           const std::function<base::Result<void>()>& take);

  // Evicts, and takes away what nobody is at: partials, snapshots and temporary files that kills
  // left behind, and seals that nothing names.
  base::Result<Evicted> gc(const base::Call& call, const GcOptions& options);

  // Takes blobs away with all their names inside home, pinned or not; those that are not there are
  // passed over. kBusy, naming it, and none is gone, if one is leased.
  base::Result<Evicted> remove(const base::Call& call, const std::vector<hash::Root>& roots);

  // Moves a blob that is not what it was to quarantine/, leased or not, and takes its other names
  // inside home away. kNotFound if it is not there.
  base::Result<void> quarantine(const base::Call& call, const hash::Root& root);

  // Every blob, the least recently used first.
  base::Result<std::vector<hash::Root>> all() const;

  // What is taken below blobs/ and partial/.
  base::Result<std::uint64_t> used_bytes() const;

 private:
  struct Candidate {
    hash::Root root;
    std::uint64_t inode = 0;
    std::uint64_t bytes = 0;
    std::uint64_t links = 0;
    std::int64_t used_ns = 0;
  };

  using Names = std::map<std::uint64_t, std::vector<std::string>>;  // inode to paths inside home

  // How much must come free before so many bytes may be taken, and what is taken now; the latter
  // only where a quota asks for it.
  struct Need {
    std::uint64_t lacking = 0;
    std::optional<std::uint64_t> used = {};
  };

  base::Result<Need> need_for(std::uint64_t bytes);
  base::Result<std::uint64_t> make_room(const base::Call& call,
                                        std::uint64_t bytes,
                                        const Need& need);
  std::optional<std::uint64_t> read_used() const;
  base::Result<void> write_used(std::optional<std::uint64_t> bytes);
  base::Result<std::vector<Candidate>> candidates() const;
  base::Result<Names> names() const;
  base::Result<Evicted> evict(const base::Call& call, const GcOptions& options);
  // False if it is leased.
  base::Result<bool> evict_one(const Candidate& blob, const Names& names, bool dry_run);
  base::Result<void> remove_names(const Candidate& blob, const Names& names);
  static Evicted::Blob describe(const Candidate& blob, const Names& names);
  base::Result<std::uint64_t> sweep_partials(const base::Call& call);
  base::Result<std::uint64_t> sweep_snapshots();
  base::Result<std::uint64_t> sweep_temporaries(const base::Call& call,
                                                const std::string& directory);
  base::Result<std::uint64_t> sweep_seals(const base::Call& call);

  Home& home_;
  const SpaceLimits limits_;
};

}  // namespace weighbridge::store
