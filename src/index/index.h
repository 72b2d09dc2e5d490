#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/call.h"
#include "formats/safetensors.h"
#include "hash/digest.h"
#include "model/proof.h"
#include "model/snapshot.h"
#include "sources/source.h"
#include "transfer/memory_sink.h"
#include "transfer/transfer.h"

namespace weighbridge::index {

// What the front of a file held when it was read before its proof: 32 bytes a piece of it.
// A value; Thread-compatible.
class LookedAt {
 public:
  LookedAt() = default;
  explicit LookedAt(std::span<const std::byte> front);

  // A piece that is read later must hold the same, where the two overlap: the proof then covers
  // the header that was used. kCorrupt.
  base::Result<void> hold(base::Range piece, std::span<const std::byte> bytes) const;

 private:
  std::uint64_t size_ = 0;
  std::vector<hash::Root> pieces_;  // of what was seen of each
};

// One file that holds tensors.
struct IndexedFile {
  std::size_t file = 0;  // in Index::snapshot().files
  // Shared with the tensors that are handed over: their names and shapes stand in it.
  std::shared_ptr<const formats::SafetensorsTable> table;
  // The whole pieces that were read for the header, from the file's first byte on, and how they
  // are proved. Of a model of many files only the first ones keep them: empty means that they are
  // to be read again. With Trust::kNone the file can be proved only as a whole: the table serves to
  // plan and is not to be shown or acted on before that, and what is read then is held to
  // `looked_at`, which has taken the place of `prefix`.
  transfer::Bytes prefix;
  LookedAt looked_at;
  model::Proof proof;
};

// A Snapshot's table of contents: which tensors lie where. A value once opened; Thread-compatible.
class Index {
 public:
  // Of all files together; one file alone may have as much.
  static constexpr std::uint64_t kMaxHeaderBytes = formats::kMaxSafetensorsHeaderBytes;

  // Reads the headers of all files that hold tensors, in one request a file where the header fits
  // into 1 MiB, sixteen files at once.
  //
  // Which files those are: the one file if the Ref names one; else what
  // `model.safetensors.index.json` names; else `model.safetensors`; else, where files can be
  // listed, all `*.safetensors` of the root if no tensor name repeats. Other files stay unread.
  //
  // kExhausted: the headers of all files together are longer than kMaxHeaderBytes. kNotFound: no
  // such files (says what was looked for), or the listing lacks a named shard. kInvalid: several
  // candidates (lists them). kCorrupt: a header or the index is malformed, or they disagree; names
  // the file, the tensor, the offset.
  static base::Result<Index> open(const base::Call& call,
                                  transfer::Transfer& transfer,
                                  sources::Source& source,
                                  model::Snapshot snapshot);

  // Reads whole the files that can be proved only as a whole, and holds what comes to the headers
  // that were read: afterwards no file's proof is Trust::kNone. For those who do not load.
  base::Result<void> prove(const base::Call& call,
                           transfer::Transfer& transfer,
                           sources::Source& source,
                           transfer::Progress& progress);

  // As it was given, and the files that were found without a listing.
  const model::Snapshot& snapshot() const { return *snapshot_; }

  std::span<const IndexedFile> files() const { return files_; }

  std::size_t tensor_count() const;

  // Moves a file's prefix out, so that it does not outlive its use.
  transfer::Bytes take_prefix(std::size_t i) { return std::exchange(files_[i].prefix, {}); }

 private:
  // By pointer: jobs and sinks borrow its files, wherever the Index moves.
  std::unique_ptr<model::Snapshot> snapshot_;
  std::vector<IndexedFile> files_;
};

}  // namespace weighbridge::index
