#pragma once

#include <string>

#include "base/call.h"
#include "base/result.h"
#include "registry/client.h"
#include "registry/reference.h"

namespace weighbridge::pack {

// What is done to artifacts where they stand. Each is one try and may be tried again as a whole.
// Errors are those of registry::Client. Thread-safe.

// Gives the manifest another tag of its repository, which moves from where it was. Returns the
// digest that it now names.
base::Result<registry::Digest> tag_artifact(const base::Call& call,
                                            registry::Client& client,
                                            const registry::Reference& from,
                                            const std::string& tag);

// Takes away the tag, or the manifest with all its tags where the reference names it by digest; of
// what was attached to another artifact also the entry there. Its blobs stay until the registry
// collects them. kNotFound: there is none. kUnsupported: this registry deletes nothing, or no tags
// alone; the hint then names the digest.
base::Result<void> remove_artifact(const base::Call& call,
                                   registry::Client& client,
                                   const registry::Reference& reference);

}  // namespace weighbridge::pack
