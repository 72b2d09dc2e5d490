// The index is made of what is wanted, which is a few files, and what is kept streams past it: so
// it needs no memory for the store, nothing on disk that could be stale, and nothing to rebuild.

#include "store/copies.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "hash/hash_tree.h"
#include "store/files.h"

namespace weighbridge::store {
namespace {

using base::Result;

// What is wanted and not found yet. Confined.
class Search {
 public:
  explicit Search(const formats::SealedFile& wanted) : wanted_(wanted) {
    for (const formats::TensorHint& hint : wanted.hints) {
      tensors_.emplace(Key{hint.hint, hint.bytes.size()}, hint.bytes);
    }
    found_.resize(wanted.pieces.size());
  }

  void look_at_pieces(const hash::Root& root, std::span<const hash::ChainingValue> pieces) {
    for (std::size_t i = 0; i < std::min(pieces.size(), wanted_.pieces.size()); ++i) {
      if (!found_[i] && pieces[i] == wanted_.pieces[i]) {
        found_[i] = true;
        const base::Range range = hash::piece_range(i, wanted_.size);
        copies_.push_back({range, root, range.begin});
      }
    }
  }

  void look_at_hints(const hash::Root& root, std::span<const formats::TensorHint> hints) {
    for (const formats::TensorHint& hint : hints) {
      const auto [first, last] = tensors_.equal_range(Key{hint.hint, hint.bytes.size()});
      for (auto place = first; place != last; ++place) {
        copies_.push_back({place->second, root, hint.bytes.begin});
      }
      tensors_.erase(first, last);
    }
  }

  std::vector<Copy> take() {
    std::ranges::stable_sort(copies_, {}, [](const Copy& copy) { return copy.to.begin; });
    return std::move(copies_);
  }

 private:
  using Key = std::pair<hash::Hint, std::uint64_t>;  // and the length

  const formats::SealedFile& wanted_;
  std::vector<bool> found_;
  std::multimap<Key, base::Range> tensors_;
  std::vector<Copy> copies_;
};

}  // namespace

Result<std::vector<std::vector<Copy>>> find_copies(
    const base::Call& call,
    const Home& home,
    const Blobs& blobs,
    const Refs& refs,
    std::span<const formats::SealedFile* const> wanted) {
  std::vector<Search> searches;
  for (const formats::SealedFile* const file : wanted) {
    searches.emplace_back(*file);
  }
  std::map<hash::Root, std::uint64_t> sizes;
  const auto note = [&](const std::string& path, const io::FileInfo& info) -> Result<void> {
    if (const auto root = hash::Root::from_hex(path.substr(path.rfind('/') + 1))) {
      sizes.emplace(*root, info.size);
    }
    return {};
  };
  TRY(each_file(home.files(), home.path() + "/blobs", note));
  for (const auto& [root, size] : sizes) {
    TRY(call.check());
    // Of one piece there is no tree, and nothing that would be shared.
    const auto tree = size > hash::kPieceBytes ? TRY(blobs.tree(root, size)) : std::nullopt;
    for (Search& search : searches) {
      if (tree) {
        search.look_at_pieces(root, *tree);
      }
    }
  }
  const auto read_seal = [&](const std::string& path, const io::FileInfo&) -> Result<void> {
    TRY(call.check());
    const auto digest = hash::Sha256Digest::from_hex(path.substr(path.rfind('/') + 1));
    const auto bytes = digest ? refs.seal(*digest) : Result<std::vector<std::byte>>({});
    const auto seal = formats::parse_seal(bytes.ok() ? *bytes : std::vector<std::byte>());
    if (!seal.ok()) {
      return {};
    }
    for (const formats::SealedFile& file : seal->files) {
      const auto held = sizes.find(file.root);
      const bool is_held = held != sizes.end() && held->second == file.size;
      for (Search& search : searches) {
        if (is_held) {
          search.look_at_pieces(file.root, file.pieces);
          search.look_at_hints(file.root, file.hints);
        }
      }
    }
    return {};
  };
  TRY(each_file(home.files(), home.path() + "/seals", read_seal));
  std::vector<std::vector<Copy>> found;
  for (Search& search : searches) {
    found.push_back(search.take());
  }
  return found;
}

Result<std::vector<Copy>> find_copies(const base::Call& call,
                                      const Home& home,
                                      const Blobs& blobs,
                                      const Refs& refs,
                                      const formats::SealedFile& wanted) {
  const formats::SealedFile* const one = &wanted;
  auto found = TRY(find_copies(call, home, blobs, refs, std::span(&one, 1)));
  return std::move(found.front());
}

}  // namespace weighbridge::store
