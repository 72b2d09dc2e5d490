#include "model/snapshot.h"

#include <algorithm>
#include <cstddef>

#include <fmt/format.h>

#include "base/text.h"
#include "hash/hash_tree.h"

namespace weighbridge::model {
namespace {

constexpr std::size_t kMaxPathBytes = 4096;

// Hashes a text of any length as it is written, in the memory of two pieces: the records of a
// million files are too long to keep.
class TextHasher {
 public:
  void append(std::string_view text) {
    pending_ += text;
    while (pending_.size() > hash::kPieceBytes) {
      take_piece(hash::kPieceBytes);
    }
  }

  hash::Root finish() {
    if (pieces_.empty()) {
      return hash::hash_bytes(std::as_bytes(std::span(pending_)));
    }
    take_piece(pending_.size());
    return hash::merge_pieces(pieces_);
  }

 private:
  void take_piece(std::size_t bytes) {
    hasher_.start(pieces_.size());
    hasher_.update(std::as_bytes(std::span(pending_)).first(bytes));
    pieces_.push_back(hasher_.finish_piece());
    pending_.erase(0, bytes);
  }

  std::string pending_;
  hash::PieceHasher hasher_;
  std::vector<hash::ChainingValue> pieces_;
};

bool is_path_part(std::string_view part) {
  return !part.empty() && part != "." && part != "..";
}

}  // namespace

Method File::method() const {
  if (root && pieces.size() == (size > hash::kPieceBytes ? hash::piece_count(size) : 0)) {
    return Method::kPieces;
  }
  if (root) {
    return Method::kRoot;
  }
  return sha256 ? Method::kSha256 : Method::kNothing;
}

const File* Snapshot::find(std::string_view path) const {
  const auto at = std::ranges::lower_bound(
      files, path, {}, [](const File& file) { return std::string_view(file.path); });
  return at != files.end() && at->path == path ? &*at : nullptr;
}

std::optional<hash::Root> content_id(std::span<const File> files) {
  TextHasher records;
  for (const File& file : files) {
    if (!file.root) {
      return std::nullopt;
    }
    records.append(fmt::format(
        "{} {} {} {}", file.root->hex(), file.size, file.executable ? 'x' : '-', file.path));
    records.append(std::string_view("\0", 1));
  }
  return records.finish();
}

bool is_snapshot_path(std::string_view path) {
  if (path.size() > kMaxPathBytes || path.find('\\') != std::string_view::npos) {
    return false;
  }
  // printable() changes control characters and what is not UTF-8, and nothing else.
  return base::printable(path, kMaxPathBytes) == path &&
         std::ranges::all_of(base::split(path, '/'), is_path_part);
}

}  // namespace weighbridge::model
