#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "hash/digest.h"
#include "io/file_system.h"
#include "model/ref.h"
#include "pack/blob_upload.h"
#include "registry/client.h"
#include "registry/reference.h"
#include "sources/source.h"
#include "transfer/local_proofs.h"
#include "transfer/transfer.h"

namespace weighbridge::pack {

// So many blobs are on their way at once.
inline constexpr std::size_t kUploads = 4;
// Fewer where each holds a window of what comes from elsewhere.
inline constexpr std::size_t kStreams = 3;

// What a push stands on. Borrows what it points to. A value. Thread-compatible.
struct PushParts {
  io::FileSystem& files;
  transfer::Transfer& transfer;
  // What this machine has hashed before, so that it need not be read again; null: nothing.
  transfer::LocalProofs* local_proofs = nullptr;
  std::string home;        // where unfinished uploads are kept for the next process; empty: nowhere
  std::uint64_t seed = 0;  // of the jitter between tries
};

// What is pushed: a local directory, or any source that can be listed or is sealed.
struct PushFrom {
  sources::Source& source;
  const model::Ref& ref;
};

struct PushTo {
  registry::Client& client;
  registry::Reference reference;
  std::vector<std::string> mount_from;  // repositories there that may have some of the files
};

struct PushedFile {
  std::string path;
  std::uint64_t bytes = 0;
  UploadedBlob::How how = UploadedBlob::How::kSent;
};

struct Pushed {
  registry::Digest digest;  // of the manifest
  hash::Sha256Digest seal_sha256;
  std::vector<PushedFile> files;  // in byte order of paths
  std::uint64_t bytes = 0;        // of the files
  std::uint64_t sent_bytes = 0;   // of those that were sent
  bool was_there = false;         // nothing had to be changed at the registry
};

// A model into a registry, under a tag, as docs/formats/oci-artifact.md says: each file is read
// once and hashed once, while its bytes leave, wherever the registry takes that; no file is held in
// memory; nothing is visible under the tag before all of it is there. A file that is not new is
// neither read nor sent: this machine knows what it holds, or a seal that is trusted says so, and
// the registry has it. What is not local goes straight through, without a copy. The errors of
// transfer::resolve, describe_model, upload_blob and build_artifact; kInvalid: the reference names
// another digest than the one that came out. Thread-safe.
base::Result<Pushed> push(const base::Call& call,
                          const PushParts& parts,
                          const PushFrom& from,
                          const PushTo& to,
                          transfer::Progress& progress);

}  // namespace weighbridge::pack
