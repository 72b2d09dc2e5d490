#include "transfer/blob_proofs.h"

#include <chrono>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/units.h"

namespace weighbridge::transfer {

using base::Result;

namespace {

constexpr std::string_view kPrefix = "blob-";
constexpr std::uint64_t kLeastRemembered = 4 * base::kMiB;

}  // namespace

Result<sources::LocalFile> local_file_of(const store::BlobFile& blob) {
  io::FileInfo info = TRY(blob.file().info());
  info.ctime_ns = info.mtime_ns;
  model::Validator validator;
  validator.etag = fmt::format(
      "{}{}-{:x}-{:x}-{:x}", kPrefix, blob.root().hex(), info.device, info.inode, info.mtime_ns);
  return sources::LocalFile{info, std::move(validator)};
}

bool is_of_blob(const model::Validator& validator) {
  return validator.etag.starts_with(kPrefix);
}

Result<void> remember_blob(store::Store& store, const store::BlobFile& blob) {
  if (blob.size() < kLeastRemembered) {
    return {};
  }
  auto pieces = TRY(store.blobs().tree(blob.root(), blob.size()));
  if (!pieces) {
    return {};
  }
  const sources::LocalFile local = TRY(local_file_of(blob));
  // It was locked while it was written, and is read-only since: nothing can have changed it under
  // the time that it has, so there is nothing to wait for.
  const base::WallTime settled{std::chrono::duration_cast<base::WallTime::duration>(
      std::chrono::nanoseconds(local.info.mtime_ns) + store::Proofs::kSettled)};
  store::HashedFile hashed;
  hashed.size = blob.size();
  hashed.root = blob.root();
  hashed.pieces = *std::move(pieces);
  TRY(store.proofs().remember(local.info, settled, hashed));
  return {};
}

}  // namespace weighbridge::transfer
