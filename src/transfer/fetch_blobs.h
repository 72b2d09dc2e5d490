#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/call.h"
#include "formats/seal.h"
#include "model/snapshot.h"
#include "store/blobs.h"
#include "transfer/pull.h"
#include "transfer/transfer.h"

namespace weighbridge::transfer {

// Turns the files of a Snapshot into blobs of the store, fetching what is missing. Goes through
// them in waves, each as many files as may be open at once: what nobody else is at is fetched and
// committed together; what another process is fetching is waited for only while nothing of ours is
// held, so that no two processes can wait for each other. Confined to one thread.
class FetchBlobs {
 public:
  // What came from where.
  struct Counts {
    std::uint64_t fetched_bytes = 0;  // asked for twice included
    std::uint64_t copied_bytes = 0;
    std::uint64_t present_bytes = 0;
  };

  // Borrows all; `seal` may be null.
  FetchBlobs(const base::Call& call,
             const PullParts& parts,
             model::Snapshot& snapshot,
             const formats::Seal* seal,
             bool offline,
             PullProgress& progress);

  // Every file of the Snapshot has its root afterwards, and its blob is there, unless somebody
  // evicts it. After an error what was proved is kept.
  base::Result<Counts> run();

 private:
  // A file that is being fetched.
  struct Writing {
    std::size_t file = 0;
    std::unique_ptr<store::BlobWriter> writer;
    bool whole = false;   // proved by its SHA-256, from its first byte on
    bool peeked = false;  // only the commit can tell whether it is right
  };

  using Wave = std::vector<Writing>;

  model::File& file(std::size_t i) { return snapshot_.files[i]; }

  store::Blobs::Wanted wanted(std::size_t i) const;
  // Where an earlier read of the same content gave its tree.
  void take_known_tree(std::size_t i);
  // Takes from `pending_` what can be had without waiting; waits for one if none can be had.
  base::Result<Wave> next_wave();
  // True if the file is dealt with, or is in the wave now.
  base::Result<bool> take(std::size_t i, Wave& wave);
  base::Result<void> begun(std::size_t i, store::Blobs::Begun begun, Wave& wave);
  base::Result<void> have(std::size_t i, store::BlobFile blob);
  const formats::SealedFile* sealed(std::size_t i);
  // What other blobs are said to have.
  base::Result<void> copy(Wave& wave);
  base::Result<void> fetch(Wave& wave);
  base::Result<void> transfer(Wave& wave, bool peeked);
  // Those that are certainly right, all together; those of which that is still to be seen, one by
  // one.
  base::Result<void> commit(const base::Call& call, Wave wave);
  base::Result<void> commit_together(const base::Call& call, std::vector<Writing> writings);
  // What is whole of a wave that failed.
  void save(Wave wave);
  base::Error missing_offline(std::size_t i) const;

  const base::Call call_;
  const PullParts parts_;
  model::Snapshot& snapshot_;
  const formats::Seal* const seal_;
  const bool offline_;
  PullProgress& progress_;
  const std::size_t descriptors_;  // that a wave may hold
  std::vector<std::size_t> pending_;
  std::vector<store::BlobFile> leases_;  // so that nobody evicts what was just made; some of them
  std::map<std::size_t, hash::Sha256Digest> known_sha256_;  // of files whose tree was known
  Counts counts_;
};

}  // namespace weighbridge::transfer
