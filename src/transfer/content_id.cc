#include "transfer/content_id.h"

#include <vector>

namespace weighbridge::transfer {

std::optional<hash::Root> content_id_of(const model::Snapshot& snapshot,
                                        const sources::Source& source,
                                        const FirstSeen& seen,
                                        KnownTrees& trees) {
  if (snapshot.content_id || !snapshot.listed) {
    return snapshot.content_id;
  }
  std::vector<model::File> files = snapshot.files;
  for (model::File& file : files) {
    if (!file.root) {
      file.root = seen.root(source.identity(file.path), file);
    }
    if (const auto tree = file.root ? nullptr : trees.find(file)) {
      file.root = tree->root;
    }
  }
  return model::content_id(files);
}

}  // namespace weighbridge::transfer
