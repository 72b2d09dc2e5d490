#include "pack/diff.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "hash/hash_tree.h"

namespace weighbridge::pack {
namespace {

using model::File;

// Equal, different, or nothing where the sides have no digest in common.
std::optional<bool> equal_content(const File& a, const File& b) {
  if (a.size != b.size) {
    return false;
  }
  if (a.root && b.root) {
    return *a.root == *b.root;
  }
  if (a.sha256 && b.sha256) {
    return *a.sha256 == *b.sha256;
  }
  return std::nullopt;
}

// Bytes of the old side by what is in them. Confined.
class Content {
 public:
  explicit Content(const Comparable& side) {
    for (const File& file : side.snapshot.files) {
      if (file.root) {
        roots_.insert(*file.root);
      }
      if (file.sha256) {
        sha256s_.insert(*file.sha256);
      }
    }
    for (const auto& [path, hints] : side.hints) {
      for (const formats::TensorHint& hint : hints) {
        hints_.insert({hint.hint, hint.bytes.size()});
      }
    }
  }

  bool has(const File& file) const {
    return (file.root && roots_.contains(*file.root)) ||
           (file.sha256 && sha256s_.contains(*file.sha256));
  }

  bool has(const formats::TensorHint& hint) const {
    return hints_.contains({hint.hint, hint.bytes.size()});
  }

 private:
  std::set<hash::Root> roots_;
  std::set<hash::Sha256Digest> sha256s_;
  std::set<std::pair<hash::Hint, std::uint64_t>> hints_;
};

std::uint64_t equal_pieces(const File& before, const File& after) {
  std::uint64_t bytes = 0;
  const std::size_t count = std::min(before.pieces.size(), after.pieces.size());
  for (std::size_t i = 0; i < count; ++i) {
    if (before.pieces[i] == after.pieces[i]) {
      bytes += hash::piece_range(i, after.size).size();
    }
  }
  return bytes;
}

std::uint64_t shared_bytes(const File* before,
                           const File& after,
                           const Comparable& side,
                           const Content& content) {
  if (content.has(after)) {
    return after.size;
  }
  std::uint64_t hinted = 0;
  if (const auto hints = side.hints.find(after.path); hints != side.hints.end()) {
    for (const formats::TensorHint& hint : hints->second) {
      hinted += content.has(hint) ? hint.bytes.size() : 0;
    }
  }
  // Both may count the same bytes, so the larger one is what is certain to be there.
  return std::max(before == nullptr ? 0 : equal_pieces(*before, after), hinted);
}

FileChange change_of(const File* before,
                     const File& after,
                     const Comparable& side,
                     const Content& content) {
  FileChange change{.path = after.path,
                    .change = Change::kAdded,
                    .old_bytes = before == nullptr ? 0 : before->size,
                    .new_bytes = after.size,
                    .shared_bytes = shared_bytes(before, after, side, content)};
  if (before != nullptr) {
    const auto equal = equal_content(*before, after);
    change.change = !equal                                   ? Change::kUnknown
                    : !*equal                                ? Change::kChanged
                    : before->executable == after.executable ? Change::kSame
                                                             : Change::kChanged;
  }
  return change;
}

// A tensor where it stands.
struct Placed {
  std::string_view file;
  model::TensorEntry tensor;  // of a table of that side
  std::optional<hash::Hint> hint;
};

std::map<std::string_view, Placed> tensors_of(const Comparable& side) {
  std::map<std::string_view, Placed> tensors;
  for (const auto& [path, table] : side.tables) {
    std::map<std::pair<std::uint64_t, std::uint64_t>, hash::Hint> hints;
    if (const auto found = side.hints.find(path); found != side.hints.end()) {
      for (const formats::TensorHint& hint : found->second) {
        hints[{hint.bytes.begin, hint.bytes.end}] = hint.hint;
      }
    }
    for (const model::TensorEntry tensor : table.tensors) {
      const auto hint = hints.find({tensor.bytes.begin, tensor.bytes.end});
      tensors[tensor.name] = {
          path, tensor, hint == hints.end() ? std::nullopt : std::optional(hint->second)};
    }
  }
  return tensors;
}

Change change_of(const Placed& before,
                 const Placed& after,
                 const std::set<std::string_view>& same) {
  if (before.tensor.dtype != after.tensor.dtype ||
      !std::ranges::equal(before.tensor.shape, after.tensor.shape)) {
    return Change::kChanged;
  }
  if (before.file == after.file && same.contains(after.file)) {
    return Change::kSame;
  }
  if (before.hint && after.hint) {
    return *before.hint == *after.hint ? Change::kSame : Change::kChanged;
  }
  return Change::kUnknown;
}

std::vector<TensorChange> compare_tensors(const Comparable& before,
                                          const Comparable& after,
                                          const std::set<std::string_view>& same_files) {
  const auto old_tensors = tensors_of(before);
  const auto new_tensors = tensors_of(after);
  std::map<std::string_view, TensorChange> changes;
  for (const auto& [name, placed] : old_tensors) {
    changes[name] = {.name = std::string(name),
                     .change = Change::kRemoved,
                     .old_file = std::string(placed.file),
                     .new_file = {}};
  }
  for (const auto& [name, placed] : new_tensors) {
    const auto old = old_tensors.find(name);
    TensorChange& change = changes[name];
    change.name = name;
    change.new_file = placed.file;
    change.new_bytes = placed.tensor.bytes.size();
    change.change =
        old == old_tensors.end() ? Change::kAdded : change_of(old->second, placed, same_files);
  }
  std::vector<TensorChange> list;
  for (auto& [name, change] : changes) {
    list.push_back(std::move(change));
  }
  return list;
}

}  // namespace

std::string_view name_of(Change change) {
  switch (change) {
    case Change::kSame:
      return "same";
    case Change::kChanged:
      return "changed";
    case Change::kAdded:
      return "added";
    case Change::kRemoved:
      return "removed";
    case Change::kUnknown:
      break;
  }
  return "unknown";
}

bool Difference::same() const {
  return std::all_of(files.begin(), files.end(), [](const FileChange& change) {
    return change.change == Change::kSame;
  });
}

Difference compare(const Comparable& before, const Comparable& after) {
  const Content content(before);
  Difference difference;
  std::set<std::string_view> same_files;
  for (const File& file : after.snapshot.files) {
    difference.files.push_back(change_of(before.snapshot.find(file.path), file, after, content));
    const FileChange& change = difference.files.back();
    difference.new_bytes += change.new_bytes;
    difference.shared_bytes += change.shared_bytes;
    if (change.change == Change::kSame) {
      same_files.insert(file.path);
    }
  }
  for (const File& file : before.snapshot.files) {
    if (after.snapshot.find(file.path) == nullptr) {
      difference.files.push_back({file.path, Change::kRemoved, file.size, 0, 0});
    }
  }
  std::sort(difference.files.begin(), difference.files.end(), [](const auto& a, const auto& b) {
    return a.path < b.path;
  });
  difference.tensors = compare_tensors(before, after, same_files);
  return difference;
}

}  // namespace weighbridge::pack
