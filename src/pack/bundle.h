#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "formats/seal.h"
#include "hash/digest.h"
#include "pack/entry_sink.h"
#include "pack/path_set.h"
#include "pack/tar_reader.h"
#include "store/store.h"

namespace weighbridge::pack {

// A snapshot of the store as one tar archive with its seal. (docs/formats/bundle.md)
using WriteBytes = std::function<base::Result<void>(std::span<const std::byte>)>;

// The seal of a snapshot that the store has: the one given, byte for byte, if it is of exactly
// these files; else one that is made of the blobs, which are read for it. kNotFound: the store
// lacks the snapshot or a blob. Thread-safe.
base::Result<std::vector<std::byte>> seal_of_snapshot(
    const base::Call& call,
    store::Store& store,
    const hash::Root& content_id,
    const std::optional<hash::Sha256Digest>& seal_sha256);

// Writes the bundle of this seal, each piece proved as it is read. kNotFound: the store lacks a
// blob; kCorrupt: one is not what it was. Thread-safe.
base::Result<void> write_bundle(const base::Call& call,
                                store::Store& store,
                                std::span<const std::byte> seal,
                                const WriteBytes& write);

struct Imported {
  std::string directory;  // of the snapshot
  hash::Root content_id;
  hash::Sha256Digest seal_sha256;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t present_bytes = 0;  // of files that the store had already
};

// Puts a bundle into the store as its bytes come, each piece proved before it is written. Confined
// to one thread.
class BundleReader final : private EntrySink {
 public:
  // `call` and `store` outlive the reader. `seal_sha256`: of the seal that it must be, if one is
  // demanded.
  BundleReader(const base::Call& call,
               store::Store& store,
               std::optional<hash::Sha256Digest> seal_sha256)
      : call_(call), store_(store), demanded_(seal_sha256) {}

  // kCorrupt: no bundle, or a damaged one; the seal is not the demanded one; bytes are not what it
  // says. kUnsupported, kInvalid: an entry that no bundle has. kExhausted: no room. Not called
  // again after a failure; what was proved stays for the next try.
  base::Result<void> feed(std::span<const std::byte> bytes);
  // After the last byte: makes the snapshot. kCorrupt if something is missing.
  base::Result<Imported> finish();

 private:
  base::Result<void> begin(const Entry& entry) override;
  base::Result<void> write(std::span<const std::byte> bytes) override;
  base::Result<void> end() override;

  base::Result<void> take_front(std::span<const std::byte>& bytes);
  base::Result<void> open_seal();
  base::Result<void> take_piece();
  base::Result<void> commit();
  void hold(store::BlobFile blob);

  const base::Call& call_;
  store::Store& store_;
  const std::optional<hash::Sha256Digest> demanded_;

  std::vector<std::byte> front_;   // the first header, the seal, and what pads it
  std::uint64_t front_bytes_ = 0;  // how long that is; 0 until the header is there
  std::uint64_t seal_bytes_ = 0;
  model::Snapshot snapshot_;
  hash::Sha256Digest seal_sha256_;
  PathSet paths_;
  std::optional<TarReader> tar_;
  std::set<std::string> came_;

  const model::File* file_ = nullptr;  // the one that comes
  std::unique_ptr<store::BlobWriter> writer_;
  std::vector<std::byte> piece_;
  std::uint64_t next_piece_ = 0;
  std::vector<std::unique_ptr<store::BlobWriter>> complete_;
  std::set<hash::Root> pending_;  // of complete_
  std::vector<store::BlobFile> leases_;
  std::uint64_t present_bytes_ = 0;
};

}  // namespace weighbridge::pack
