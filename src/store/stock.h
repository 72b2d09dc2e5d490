#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "hash/digest.h"
#include "store/home.h"
#include "store/refs.h"
#include "store/snapshots.h"
#include "store/space.h"

namespace weighbridge::store {

// What a Ref's record stands for, from its snapshot's list, else from its seal; nothing where
// neither is there (any more).
base::Result<std::optional<std::vector<SnapshotFile>>> files_of(const Home& home,
                                                                const RefRecord& record);

// A Ref, and what of it is in the store. A value; Thread-compatible.
struct Holding {
  StoredRef ref;
  std::optional<std::vector<SnapshotFile>> files;  // nothing: not known
  std::uint64_t bytes = 0;                         // of those files
  std::uint64_t missing = 0;                       // of those files: no blob is there
  std::uint64_t own_bytes = 0;                     // on the disk, of blobs that no other Ref names
  std::uint64_t shared_bytes = 0;                  // on the disk, of the others
  std::optional<std::int64_t> used_ns;             // the last use of any of its blobs

  bool is_whole() const { return files && missing == 0; }
};

// What there is. A value; Thread-compatible.
struct Stock {
  std::vector<Holding> refs;  // in the order of Refs::all()
  std::uint64_t blobs = 0;
  std::uint64_t blob_bytes = 0;     // on the disk
  std::uint64_t unnamed_bytes = 0;  // of these: of blobs that no Ref and no pin names
  std::uint64_t partial_bytes = 0;  // being fetched, or left behind
  std::uint64_t quarantine_bytes = 0;
};

// Looks at everything: some microseconds a blob. Others may change it meanwhile.
base::Result<Stock> take_stock(const Home& home, const Space& space, const Refs& refs);

// The blobs that any Ref or pin names.
base::Result<std::set<hash::Root>> named_blobs(Home& home);

// Takes away a Ref's record, its snapshot directory, and its blobs that nothing else names.
// kBusy, and nothing is gone, if it is pinned or one of those blobs is leased: the error's file is
// that blob.
base::Result<Evicted> remove_ref(const base::Call& call,
                                 Home& home,
                                 Space& space,
                                 Snapshots& snapshots,
                                 Refs& refs,
                                 const StoredRef& ref);

}  // namespace weighbridge::store
