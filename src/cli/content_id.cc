#include "cli/content_id.h"

#include <vector>

namespace weighbridge::cli {

std::optional<hash::Root> content_id_of(const model::Snapshot& snapshot,
                                        const sources::Source& source,
                                        const transfer::FirstSeen& seen) {
  if (snapshot.content_id || !snapshot.listed) {
    return snapshot.content_id;
  }
  std::vector<model::File> files = snapshot.files;
  for (model::File& file : files) {
    if (!file.root) {
      file.root = seen.root(source.identity(file.path), file);
    }
  }
  return model::content_id(files);
}

}  // namespace weighbridge::cli
