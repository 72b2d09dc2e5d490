#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "pack/blob_bytes.h"
#include "pack/kept_upload.h"
#include "pack/patience.h"
#include "registry/client.h"
#include "transfer/transfer.h"

namespace weighbridge::pack {

// Where blobs go. Borrows what it points to. A value. Thread-compatible.
struct BlobTarget {
  registry::Client& client;
  std::string repository;
  std::vector<std::string> mount_from;  // repositories of the same registry that may have a blob
  const Patience& patience;
  transfer::Progress& progress;  // counts what was sent, or need not be
};

// What became of a blob.
struct UploadedBlob {
  enum class How : std::uint8_t { kSent, kThere, kMounted };

  registry::Digest digest;
  How how = How::kSent;
};

std::string_view name_of(UploadedBlob::How how);  // "sent"

// One blob into a repository, whatever way the registry takes it: what is there already is passed
// over, what another repository has is mounted, the rest goes in PATCHes whose digest is named at
// the end, or in one PUT, as plan_upload() says; what the registry's answers teach on the way is
// followed at once. It alone retries here: what may pass, up to Patience::kTries times in a row
// without a new byte at the registry, each time from where the upload stands, as the registry
// itself says. Fails with what the registry, the connection or the bytes say; an upload that nobody
// will take up is cancelled, one that `kept` remembers and a registry keeps is left for the next
// process. `name`: for messages. Thread-safe.
base::Result<UploadedBlob> upload_blob(const base::Call& call,
                                       const BlobTarget& target,
                                       const std::string& name,
                                       BlobBytes& bytes,
                                       KeptUpload* kept = nullptr);

}  // namespace weighbridge::pack
