#include "formats/seal_rules.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "hash/hash_tree.h"
#include "model/snapshot.h"

namespace weighbridge::formats {
namespace {

using base::Code;
using base::Error;
using base::Result;

Error broken(std::string_view path, std::string_view problem) {
  return {Code::kInvalid, fmt::format("\"{}\" {}", base::printable(path), problem)};
}

Result<void> check_pieces(const SealedFile& file) {
  const bool listed = file.size > hash::kPieceBytes;
  if (file.pieces.size() != (listed ? hash::piece_count(file.size) : 0)) {
    return broken(file.path,
                  fmt::format("has {} bytes and lists {} pieces", file.size, file.pieces.size()));
  }
  if (listed && hash::merge_pieces(file.pieces) != file.root) {
    return broken(file.path, "lists pieces that do not merge to its root");
  }
  return {};
}

Result<void> check_hints(const SealedFile& file) {
  std::uint64_t end = 0;
  for (const TensorHint& hint : file.hints) {
    if (hint.bytes.begin < end || hint.bytes.end < hint.bytes.begin || hint.bytes.end > file.size) {
      return broken(file.path,
                    fmt::format("has a hint at bytes {} to {}, out of order or past its end",
                                hint.bytes.begin,
                                hint.bytes.end));
    }
    if (hint.bytes.size() < kMinHintedBytes) {
      return broken(
          file.path,
          fmt::format("has a hint of {} bytes, fewer than {}", hint.bytes.size(), kMinHintedBytes));
    }
    end = hint.bytes.end;
  }
  return {};
}

}  // namespace

Result<void> check_sealed_file(const SealedFile& file) {
  if (!model::is_snapshot_path(file.path)) {
    return broken(file.path, "is not a path that a seal may hold");
  }
  if (!is_sealable(file.path)) {
    return broken(file.path, "is never part of a seal");
  }
  TRY(check_pieces(file));
  return check_hints(file);
}

// In byte order all paths that begin with the text of a file follow it in one run, but `a/b` need
// not come right after `a`: `a-b` stands between. So the files whose run is still open are kept on
// a stack. Only its top needs a look: for one further down, the byte after its text is the same in
// `path` as in the top, and was looked at when the top came.
Result<void> PathOrder::next(std::string_view path) {
  if (!beginnings_.empty() && path <= beginnings_.back()) {
    return broken(path, path == beginnings_.back() ? "stands twice" : "is out of order");
  }
  while (!beginnings_.empty() && !path.starts_with(beginnings_.back())) {
    beginnings_.pop_back();
  }
  if (!beginnings_.empty() && path[beginnings_.back().size()] == '/') {
    return broken(
        path,
        fmt::format("lies below \"{}\", which is a file", base::printable(beginnings_.back())));
  }
  beginnings_.push_back(path);
  return {};
}

}  // namespace weighbridge::formats
