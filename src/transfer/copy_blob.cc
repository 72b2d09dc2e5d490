#include "transfer/copy_blob.h"

#include <optional>
#include <utility>
#include <vector>

#include "hash/hash_tree.h"
#include "io/file_system.h"

namespace weighbridge::transfer {
namespace {

using base::Call;
using base::Code;
using base::Result;
using hash::ChainingValue;

Result<std::optional<store::BlobFile>> find(const Call& call,
                                            store::Blobs& blobs,
                                            const model::File& file) {
  if (!file.root && !file.sha256) {
    return std::optional<store::BlobFile>();
  }
  auto blob = file.root ? blobs.open(call, *file.root) : blobs.open(call, *file.sha256);
  if (!blob.ok()) {
    const bool is_absent = blob.error().code() == Code::kNotFound;
    return is_absent ? Result<std::optional<store::BlobFile>>(std::nullopt)
                     : std::move(blob).error();
  }
  const bool is_it = blob->size() == file.size;
  return is_it ? std::optional(std::move(blob).value()) : std::nullopt;
}

// All of it at once; the blob was proved when it was made, and these are its very bytes.
Result<bool> share(const store::BlobFile& blob,
                   store::Partial& partial,
                   const std::vector<ChainingValue>& values) {
  const auto missing = partial.missing();
  const bool is_all = missing.size() == 1 && missing.front().size() == blob.size();
  if (!is_all || blob.size() == 0 || !partial.clone(blob.file(), {0, blob.size()}, 0).ok()) {
    return false;
  }
  for (std::uint64_t piece = 0; piece < values.size(); ++piece) {
    TRY(partial.adopt(piece, values[piece]));
  }
  return true;
}

}  // namespace

Result<void> copy_blob(const Call& call, store::Blobs& blobs, store::Partial& partial) {
  const auto blob = TRY(find(call, blobs, partial.file()));
  const auto values = blob ? TRY(blobs.tree(blob->root(), blob->size())) : std::nullopt;
  if (!values || TRY(share(*blob, partial, *values))) {
    return {};
  }
  std::vector<std::byte> buffer(hash::kPieceBytes);
  for (std::uint64_t piece = 0; piece < values->size(); ++piece) {
    TRY(call.check());
    if (partial.has(piece)) {
      continue;
    }
    const auto value = store::hash_piece(blob->file(), piece, blob->size(), buffer);
    if (!value.ok() || *value != (*values)[piece]) {
      continue;  // it rotted, and is fetched instead
    }
    const auto bytes = std::span(buffer).first(hash::piece_range(piece, blob->size()).size());
    TRY(partial.write(piece, bytes, {&*value, 1}));
  }
  return {};
}

}  // namespace weighbridge::transfer
