#pragma once

#include <string>

#include "base/call.h"
#include "base/result.h"
#include "io/file_system.h"
#include "registry/client.h"
#include "registry/manifest.h"
#include "registry/reference.h"
#include "transfer/transfer.h"

namespace weighbridge::pack {

// A file that is to stand beside an artifact, and belong to it.
struct Attachment {
  std::string path;                   // of a local file; its last part is its title
  std::string artifact_type;          // says what it is to whoever asks for such
  std::string media_type;             // of the file
  registry::Annotations annotations;  // of the manifest
};

struct Attached {
  registry::Digest digest;   // of the new manifest
  registry::Digest subject;  // what it is attached to
};

// Puts the file into the artifact's repository, as an artifact of its own whose subject is the
// other one, which stays as it is; where the registry does not list such, the tag that stands in
// for the list is brought up to date. kNotFound: there is no such artifact. The errors of
// upload_blob.
base::Result<Attached> attach(const base::Call& call,
                              io::FileSystem& files,
                              registry::Client& client,
                              const registry::Reference& to,
                              const Attachment& attachment,
                              transfer::Progress& progress);

}  // namespace weighbridge::pack
