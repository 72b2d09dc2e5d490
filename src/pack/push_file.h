#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "formats/seal.h"
#include "pack/artifact.h"
#include "pack/blob_upload.h"
#include "pack/push.h"

namespace weighbridge::pack {

// What was there before a push began, as far as it helps: only what is then proved counts.
// A value. Thread-compatible.
struct Before {
  std::optional<registry::Digest> manifest;  // under the tag
  std::set<std::uint64_t> layer_sizes;       // of that manifest, or another of the repository
  std::vector<formats::Seal> seals;          // beside the files, and of that manifest

  // The hints of that very content, if a seal has them; null: none has.
  const formats::SealedFile* same_content(const std::string& path,
                                          const hash::Root& root,
                                          const hash::Sha256Digest& sha256) const;
};

// How one file of a push gets there. Borrows what it refers to. Thread-safe.
struct FilePush {
  const PushParts& parts;
  const PushFrom& from;
  const BlobTarget& target;
  const Before& before;
  std::optional<std::uint64_t> layer_limit_bytes;
};

struct PushedContent {
  formats::SealedFile sealed;
  std::vector<registry::Digest> layers;
  UploadedBlob::How how = UploadedBlob::How::kSent;
};

// Of a file of this machine, `directory` being where it stands.
base::Result<PushedContent> push_local_file(const base::Call& call,
                                            const FilePush& push,
                                            const std::string& directory,
                                            const model::File& file);

// Of a file that is elsewhere, straight through. `trusted`: what a seal says of it that is trusted
// for this Ref, so that a file whose SHA-256 is there is not even read; null: there is none.
base::Result<PushedContent> push_streamed_file(const base::Call& call,
                                               const FilePush& push,
                                               const model::File& file,
                                               const formats::SealedFile* trusted);

}  // namespace weighbridge::pack
