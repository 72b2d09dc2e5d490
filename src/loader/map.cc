#include "loader/map.h"

#include <memory>
#include <utility>

#include "base/text.h"
#include "hash/hash_tree.h"
#include "index/index.h"
#include "io/mapping.h"
#include "loader/filter.h"
#include "loader/required_proof.h"
#include "store/partial.h"
#include "transfer/content_id.h"
#include "transfer/resolve.h"

namespace weighbridge::loader {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

// What the tensors of one file share: the lease keeps the blob, the mapping its bytes.
struct MappedBlob {
  store::BlobFile lease;
  std::unique_ptr<const io::Mapping> mapping;
};

struct Wanted {
  Filter filter;
  bool hash_always = false;
};

Result<store::BlobFile> lease(const Call& call, store::Blobs& blobs, const model::File& file) {
  auto blob = file.root     ? blobs.open(call, *file.root)
              : file.sha256 ? blobs.open(call, *file.sha256)
                            : Result<store::BlobFile>(Error(Code::kNotFound, "no digest"));
  const bool is_absent = !blob.ok() && blob.error().code() == Code::kNotFound;
  if (is_absent || (blob.ok() && blob->size() != file.size)) {
    return Error(Code::kNotFound, base::printable(file.path) + " is not in the store")
        .in_file(base::printable(file.path))
        .with_hint("Only what is in the store is mapped: `weighbridge pull REF` puts it there.");
  }
  return blob;
}

// The blob is still what its name says.
Result<void> hash_all(const Call& call, const store::BlobFile& blob, const model::File& file) {
  std::vector<std::byte> buffer(hash::kPieceBytes);
  std::vector<hash::ChainingValue> values;
  for (std::uint64_t piece = 0; piece < hash::piece_count(blob.size()); ++piece) {
    TRY(call.check());
    values.push_back(TRY(store::hash_piece(blob.file(), piece, blob.size(), buffer)));
  }
  if (store::root_of(values) != blob.root()) {
    return Error(Code::kCorrupt,
                 base::printable(file.path) + " is not what it was when the store proved it")
        .in_file(base::printable(file.path))
        .with_hint("`weighbridge scrub` takes it out of the store.");
  }
  return {};
}

// Who vouches for the file, by what the blob was proved with when it was made.
model::Proof proof_of(const model::File& file) {
  return file.method() == model::Method::kNothing
             ? model::Proof{model::Trust::kFirstSeen, model::Method::kPieces}
             : model::Proof{file.trust, file.method()};
}

Result<void> add(const Call& call,
                 const MapParts& parts,
                 const model::File& file,
                 const index::IndexedFile& indexed,
                 Wanted& wanted,
                 Mapped& mapped) {
  const model::TensorTable& table = indexed.table->tensors;
  const model::Proof proof = proof_of(file);
  std::shared_ptr<const Slab> slab;
  const std::byte* bytes = nullptr;
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (!wanted.filter.wants(table[i].name)) {
      continue;
    }
    if (slab == nullptr) {
      store::BlobFile blob = TRY(lease(call, parts.store.blobs(), file));
      if (wanted.hash_always) {
        TRY(hash_all(call, blob, file));
      }
      auto mapping = TRY(io::Mapping::of(blob.file(), blob.size()));
      bytes = mapping->bytes().data();
      auto held =
          std::make_shared<const MappedBlob>(MappedBlob{std::move(blob), std::move(mapping)});
      slab = std::make_shared<const Slab>(
          std::make_shared<const TensorFile>(TensorFile{file.path, indexed.table}),
          std::move(held));
    }
    const base::Range range = table.bytes_of(i);
    mapped.tensors.emplace_back(slab, i, range.empty() ? nullptr : bytes + range.begin, proof);
    mapped.report.bytes += range.size();
    mapped.report.proof_bytes[proof.trust] += range.size();
  }
  return {};
}

}  // namespace

Result<Mapped> map(const Call& call,
                   const MapParts& parts,
                   const model::Ref& ref,
                   MapOptions options) {
  model::Snapshot snapshot = TRY(transfer::resolve(call, parts.source, ref));
  const index::Index index =
      TRY(index::Index::open(call, parts.transfer, parts.source, std::move(snapshot)));
  TRY(require_proof(index, options.least_trust));
  Wanted wanted{Filter(std::move(options.filters)), options.hash_always};
  Mapped mapped;
  mapped.tensors.reserve(index.tensor_count());
  for (const index::IndexedFile& indexed : index.files()) {
    TRY(add(call, parts, index.snapshot().files[indexed.file], indexed, wanted, mapped));
  }
  TRY(wanted.filter.all_used(index.snapshot().origin));
  mapped.seal_sha256 = index.snapshot().seal_sha256;
  mapped.report.tensors = mapped.tensors.size();
  mapped.report.content_id = transfer::content_id_of(
      index.snapshot(), parts.source, parts.transfer.first_seen(), parts.transfer.trees());
  return mapped;
}

}  // namespace weighbridge::loader
