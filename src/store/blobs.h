#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "hash/digest.h"
#include "model/snapshot.h"
#include "store/blob_file.h"
#include "store/home.h"
#include "store/partial.h"
#include "store/space.h"

namespace weighbridge::store {

// A blob that is being fetched by this process. Thread-safe as its Partial is; the rest Confined to
// who commits it.
class BlobWriter {
 public:
  BlobWriter(std::unique_ptr<Partial> partial) : partial_(std::move(partial)) {}  // NOLINT

  // Where the pieces go.
  Partial& partial() { return *partial_; }

  // The SHA-256 of the whole file, computed in this process over the very bytes that were written
  // and proved. Never one that somebody named.
  void computed(const hash::Sha256Digest& sha256) { sha256_ = sha256; }

  const std::optional<hash::Sha256Digest>& sha256() const { return sha256_; }

 private:
  std::unique_ptr<Partial> partial_;
  std::optional<hash::Sha256Digest> sha256_;
};

// Immutable blobs on local disk, named by their BLAKE3 root. A name stands for nothing but complete
// and proved bytes that survive a power loss. Thread-safe, and safe for several processes on one
// home.
class Blobs {
 public:
  // Borrows both for its life. A fetch that loses power loses no more than `checkpoint_bytes`.
  Blobs(Home& home, Space& space, std::uint64_t checkpoint_bytes = kCheckpointBytes)
      : home_(home), space_(space), checkpoint_bytes_(checkpoint_bytes) {}

  // A lease on a finished blob, which counts as a use. kNotFound if absent or still being written.
  // Never waits for a fetch.
  base::Result<BlobFile> open(const base::Call& call, const hash::Root& root) const;
  // By SHA-256: only if that was computed here.
  base::Result<BlobFile> open(const base::Call& call, const hash::Sha256Digest& sha256) const;

  struct Wanted {
    const model::File& file;
    // Who names the file: with its validator it identifies what no digest does (see
    // Source::identity). A file with neither digest nor validator is always fetched anew.
    std::string identity;
    // kKeep where somebody reads it at once.
    io::Caching caching = io::Caching::kBypass;
  };

  // The blob that this file is, by whatever names it; nothing if it is not there. kCorrupt if that
  // has another size.
  base::Result<std::optional<BlobFile>> find(const base::Call& call, const Wanted& wanted) const;

  // One of both.
  struct Begun {
    std::optional<BlobFile> blob;        // it is there already
    std::unique_ptr<BlobWriter> writer;  // to be fetched by the caller, what is missing of it
  };

  // Reserves the space or fails with kExhausted. While another process fetches the same, waits for
  // it, and takes over if that one dies. kTimedOut, kCancelled as the call says.
  base::Result<Begun> begin(const base::Call& call, const Wanted& wanted);
  // The same, without waiting for another fetch: nothing while somebody is at it.
  base::Result<std::optional<Begun>> try_begin(const base::Call& call, const Wanted& wanted);

  // Makes blobs of them, durably, all together: one sync for many. Each has all its pieces. Returns
  // a lease on each, in their order. kCorrupt, and that partial discarded, if one is not what its
  // root or SHA-256 says; no blob is made then.
  base::Result<std::vector<BlobFile>> commit(const base::Call& call,
                                             std::vector<std::unique_ptr<BlobWriter>> writers);

  // Hashes a blob here, so that it is found by its SHA-256 from now on. kCorrupt, and nothing
  // noted, if its bytes are not its root's any more.
  base::Result<hash::Sha256Digest> compute_sha256(const base::Call& call, const BlobFile& blob);

  // The chaining values of a blob's pieces, if they are remembered; they are proved by its root.
  // Of a blob of one piece: that root.
  base::Result<std::optional<std::vector<hash::ChainingValue>>> tree(const hash::Root& root,
                                                                     std::uint64_t size) const;

 private:
  // A finished partial, on its way to be a blob.
  struct Finished {
    BlobWriter* writer = nullptr;
    hash::Root root;
  };

  base::Result<BlobFile> find_noted(const base::Call& call, const Wanted& wanted) const;
  base::Result<BlobFile> lease(const base::Call& call, const hash::Root& root) const;
  base::Result<hash::Root> check(const base::Call& call, BlobWriter& writer) const;
  base::Result<void> sync(std::span<const Finished> finished) const;
  base::Result<void> publish(const Finished& finished) const;
  base::Result<void> sync_names(std::span<const Finished> finished) const;
  base::Result<void> write_tree(const hash::Root& root,
                                std::span<const hash::ChainingValue> values) const;
  base::Result<hash::Root> root_noted(const std::string& kind, const std::string& hex) const;
  base::Result<void> note_root(const std::string& kind,
                               const std::string& hex,
                               const hash::Root& root) const;
  base::Result<void> note_names(const Finished& finished) const;

  Home& home_;
  Space& space_;
  const std::uint64_t checkpoint_bytes_;
};

}  // namespace weighbridge::store
