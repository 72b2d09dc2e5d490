#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/body_sink.h"
#include "base/call.h"
#include "base/range.h"
#include "base/result.h"
#include "io/file_system.h"
#include "pack/blob_upload.h"
#include "pack/image_layout.h"
#include "registry/client.h"
#include "registry/reference.h"

namespace weighbridge::pack {

// So many blobs are on their way at once, each with a part of it in memory.
inline constexpr std::size_t kCopies = 4;
inline constexpr std::uint64_t kCopyPartBytes = 8ULL * 1024 * 1024;
// An index lists manifests, and may list another index; no deeper.
inline constexpr int kMaxIndexDepth = 2;

// Where an artifact is copied from. Each call is one try. Thread-safe.
class CopySource {
 public:
  CopySource() = default;
  CopySource(const CopySource&) = delete;
  CopySource& operator=(const CopySource&) = delete;
  virtual ~CopySource() = default;

  // The one that is to be copied, and those that an index lists.
  virtual base::Result<registry::FetchedManifest> manifest(const base::Call& call) = 0;
  virtual base::Result<registry::FetchedManifest> manifest(const base::Call& call,
                                                           const registry::Descriptor& listed) = 0;
  // As registry::Client::read_blob.
  virtual base::Result<void> read(const base::Call& call,
                                  const registry::Descriptor& blob,
                                  base::Range range,
                                  base::BodySink& sink) = 0;
  // The repository of that registry that it is, so that blobs are mounted from there; or empty.
  virtual std::string repository_at(const std::string& host) const = 0;
  // The whole blob, to be uploaded.
  virtual base::Result<std::unique_ptr<BlobBytes>> bytes(const registry::Descriptor& blob,
                                                         const Patience& patience) = 0;
};

// Borrows the client.
std::unique_ptr<CopySource> copy_from_registry(registry::Client& client,
                                               registry::Reference reference);
// Borrows `files`. `name`: a tag or digest; empty: the only one there is.
base::Result<std::unique_ptr<CopySource>> copy_from_layout(io::FileSystem& files,
                                                           const std::string& directory,
                                                           std::string name);

// What a copy did.
struct Copied {
  registry::Digest digest;  // of the manifest
  std::uint64_t blobs = 0;  // of all manifests, each once
  std::uint64_t bytes = 0;
  std::uint64_t sent_bytes = 0;  // of those that were not there
};

// Copies the manifest, or the index with all it lists, and every blob: what is there is passed
// over, what another repository of the same registry has is mounted, and the tag moves last. The
// bytes stay as they are, so the digest does. Retries what may pass; no blob is ever held in
// memory. kCorrupt: bytes are not what their digest says. kUnsupported: deeper than kMaxIndexDepth,
// or a registry that gives no ranges (`pull` reads such). `progress` counts what has been copied.
base::Result<Copied> copy_to_registry(const base::Call& call,
                                      CopySource& from,
                                      registry::Client& client,
                                      const registry::Reference& to,
                                      transfer::Progress& progress);
base::Result<Copied> copy_to_layout(const base::Call& call,
                                    CopySource& from,
                                    ImageLayout& layout,
                                    const std::string& tag,
                                    transfer::Progress& progress);

}  // namespace weighbridge::pack
