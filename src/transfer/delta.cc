#include "transfer/delta.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "hash/hash_tree.h"
#include "store/copies.h"
#include "store/files.h"
#include "transfer/store_sink.h"

namespace weighbridge::transfer {
namespace {

using base::Call;
using base::Code;
using base::Result;
using store::Copy;

// Puts proved pieces side by side, to be written together. Confined.
class PieceWriter {
 public:
  explicit PieceWriter(store::Partial& partial)
      : partial_(partial), memory_(std::make_unique_for_overwrite<Memory>()) {}

  // Where the bytes of this piece go; what cannot be written together with it is written first.
  Result<std::span<std::byte>> place(std::uint64_t piece) {
    if (!values_.empty() &&
        (piece != first_ + values_.size() || piece % StoreSink::kRunPieces == 0)) {
      TRY(flush());
    }
    if (values_.empty()) {
      first_ = piece;
    }
    const std::uint64_t bytes = hash::piece_range(piece, partial_.file().size).size();
    return std::span(memory_->bytes).subspan(values_.size() * hash::kPieceBytes, bytes);
  }

  // What stands in its place is proved.
  void take(const hash::ChainingValue& value) { values_.push_back(value); }

  Result<void> flush() {
    if (values_.empty()) {
      return {};
    }
    const std::uint64_t end =
        hash::piece_range(first_ + values_.size() - 1, partial_.file().size).end;
    const auto bytes = std::span(memory_->bytes).first(end - first_ * hash::kPieceBytes);
    const auto values = std::exchange(values_, {});
    return partial_.write(first_, bytes, values);
  }

 private:
  struct alignas(io::kDirectBytes) Memory {
    std::array<std::byte, StoreSink::kRunPieces * hash::kPieceBytes> bytes;
  };

  store::Partial& partial_;
  const std::unique_ptr<Memory> memory_;
  std::uint64_t first_ = 0;
  std::vector<hash::ChainingValue> values_;
};

// A file that is copied from; null if it is not there any more.
struct Held {
  io::OpenFile* file = nullptr;
  std::uint64_t size = 0;
};

using Hold = std::function<Result<Held>(const hash::Root&)>;

// Where bytes are copied from: a leased blob, or a file of an adopted directory.
struct Origin {
  std::optional<store::BlobFile> blob;
  std::optional<store::AdoptedCopy> adopted;
};

// Files of the store that are copied from, each opened once. Confined.
class Origins {
 public:
  Origins(const Call& call, store::Store& store) : call_(call), store_(store) {}

  Result<Held> hold(const hash::Root& root) {
    auto found = origins_.find(root);
    if (found == origins_.end()) {
      found = origins_.emplace(root, TRY(open(root))).first;
    }
    const Origin& origin = found->second;
    if (origin.blob) {
      return Held{&origin.blob->file(), origin.blob->size()};
    }
    return origin.adopted ? Held{origin.adopted->file.get(), origin.adopted->size} : Held();
  }

 private:
  Result<Origin> open(const hash::Root& root) {
    Origin origin;
    auto blob = store_.blobs().open(call_, root);
    if (blob.ok()) {
      origin.blob.emplace(std::move(blob).value());
    } else if (blob.error().code() == Code::kNotFound) {
      origin.adopted = TRY(store_.adopted().open(root));
    } else {
      return std::move(blob).error();
    }
    return origin;
  }

  const Call& call_;
  store::Store& store_;
  std::map<hash::Root, Origin> origins_;
};

// Files of a directory. What they hold may be something else by now. Confined.
class DirectoryFiles {
 public:
  DirectoryFiles(io::FileSystem& files, std::span<const formats::SealedFile> described)
      : files_(files) {
    for (const formats::SealedFile& file : described) {
      paths_.emplace(file.root, file.path);
    }
  }

  Result<Held> hold(const hash::Root& root) {
    auto found = open_.find(root);
    if (found == open_.end()) {
      auto opened = files_.open(paths_.at(root));
      found = open_.emplace(root, opened.ok() ? std::move(opened).value() : nullptr).first;
    }
    io::OpenFile* const file = found->second.get();
    return file == nullptr ? Held() : Held{file, TRY(file->info()).size};
  }

 private:
  io::FileSystem& files_;
  std::map<hash::Root, std::string> paths_;
  std::map<hash::Root, std::unique_ptr<io::OpenFile>> open_;
};

// Copies into one file. Confined.
class Copier {
 public:
  Copier(const Call& call,
         Hold hold,
         const formats::SealedFile& wanted,
         store::Partial& partial,
         std::span<const Copy> copies)
      : call_(call),
        wanted_(wanted),
        partial_(partial),
        copies_(copies),
        hold_(std::move(hold)),
        writer_(partial) {}

  Result<std::uint64_t> run() {
    for (std::uint64_t piece = 0; piece < wanted_.pieces.size(); ++piece) {
      TRY(call_.check());
      if (!partial_.has(piece) && TRY(share(piece))) {
        copied_ += hash::piece_range(piece, wanted_.size).size();
      } else if (!partial_.has(piece) && TRY(fill(piece))) {
        copied_ += hash::piece_range(piece, wanted_.size).size();
      }
    }
    TRY(writer_.flush());
    return copied_;
  }

 private:
  // The copy that gives what stands at `offset`, and most of what comes then.
  const Copy* copy_at(std::uint64_t offset) {
    while (first_ < copies_.size() && copies_[first_].to.end <= offset) {
      ++first_;
    }
    const Copy* best = nullptr;
    for (std::size_t i = first_; i < copies_.size() && copies_[i].to.begin <= offset; ++i) {
      if (copies_[i].to.end > offset && (best == nullptr || copies_[i].to.end > best->to.end)) {
        best = &copies_[i];
      }
    }
    return best;
  }

  // On a disk where files can share what they hold.
  Result<bool> share(std::uint64_t piece) {
    const base::Range range = hash::piece_range(piece, wanted_.size);
    const Copy* const copy = copy_at(range.begin);
    if (!can_share_ || copy == nullptr || copy->to.end < range.end) {
      return false;
    }
    const Held held = TRY(hold_(copy->from));
    const std::uint64_t from = copy->from_offset + (range.begin - copy->to.begin);
    if (held.file == nullptr || from % io::kDirectBytes != 0 || from + range.size() > held.size) {
      return false;
    }
    if (!partial_.clone(*held.file, {from, from + range.size()}, range.begin).ok()) {
      can_share_ = false;
      return false;
    }
    std::vector<std::byte> bytes(range.size());
    TRY(partial_.read(range.begin, bytes));
    if (value_of(piece, bytes) != wanted_.pieces[piece]) {
      return false;
    }
    TRY(partial_.adopt(piece, wanted_.pieces[piece]));
    return true;
  }

  // False, and nothing written, if it is not all there, or not what it must be.
  Result<bool> fill(std::uint64_t piece) {
    const base::Range range = hash::piece_range(piece, wanted_.size);
    const std::span<std::byte> place = TRY(writer_.place(piece));
    for (std::uint64_t at = range.begin; at < range.end;) {
      const Copy* const copy = copy_at(at);
      const Held held = copy == nullptr ? Held() : TRY(hold_(copy->from));
      if (held.file == nullptr) {
        return false;
      }
      const std::uint64_t end = std::min(range.end, copy->to.end);
      const auto read = store::read_exactly(*held.file,
                                            copy->from_offset + (at - copy->to.begin),
                                            place.subspan(at - range.begin, end - at));
      if (!read.ok()) {
        return false;  // it is fetched instead
      }
      at = end;
    }
    if (value_of(piece, place) != wanted_.pieces[piece]) {
      return false;
    }
    writer_.take(wanted_.pieces[piece]);
    return true;
  }

  hash::ChainingValue value_of(std::uint64_t piece, std::span<const std::byte> bytes) {
    hasher_->start(piece);
    hasher_->update(bytes);
    return hasher_->finish_piece();
  }

  const Call& call_;
  const formats::SealedFile& wanted_;
  store::Partial& partial_;
  const std::span<const Copy> copies_;
  const Hold hold_;
  PieceWriter writer_;
  const std::unique_ptr<hash::PieceHasher> hasher_ = std::make_unique<hash::PieceHasher>();
  std::size_t first_ = 0;  // copies before it end before what is looked at
  bool can_share_ = true;
  std::uint64_t copied_ = 0;
};

}  // namespace

Result<bool> take_adopted(store::Store& store, store::Partial& partial) {
  const model::File& file = partial.file();
  const bool is_small = file.root && hash::piece_count(file.size) == 1;
  if (!is_small || partial.has(0)) {
    return false;
  }
  const auto adopted = TRY(store.adopted().open(*file.root));
  if (!adopted || adopted->size != file.size) {
    return false;
  }
  std::vector<std::byte> bytes(file.size);
  const auto read = store::read_exactly(*adopted->file, 0, bytes);
  if (!read.ok() || hash::hash_bytes(bytes) != *file.root) {
    return false;  // it is fetched instead
  }
  const std::array values = {hash::ChainingValue{file.root->bytes}};
  TRY(partial.write(0, bytes, values));
  return true;
}

Result<std::uint64_t> use_copies(const Call& call,
                                 store::Store& store,
                                 const formats::SealedFile& wanted,
                                 store::Partial& partial,
                                 std::span<const Copy> copies) {
  Origins origins(call, store);
  const auto hold = [&](const hash::Root& root) { return origins.hold(root); };
  return copies.empty() ? Result<std::uint64_t>(0)
                        : Copier(call, hold, wanted, partial, copies).run();
}

Result<std::uint64_t> take_copies(const Call& call,
                                  store::Store& store,
                                  const formats::SealedFile& wanted,
                                  store::Partial& partial) {
  if (wanted.pieces.empty()) {
    return TRY(take_adopted(store, partial)) ? wanted.size : 0;
  }
  const auto copies =
      TRY(store::find_copies(call, store.home(), store.blobs(), store.refs(), wanted));
  return use_copies(call, store, wanted, partial, copies);
}

Result<std::uint64_t> take_copies_of(const Call& call,
                                     io::FileSystem& directory,
                                     std::span<const formats::SealedFile> have,
                                     const formats::SealedFile& wanted,
                                     store::Partial& partial) {
  const auto copies = store::find_copies_in(have, wanted);
  DirectoryFiles files(directory, have);
  const auto hold = [&](const hash::Root& root) { return files.hold(root); };
  return wanted.pieces.empty() || copies.empty()
             ? Result<std::uint64_t>(0)
             : Copier(call, hold, wanted, partial, copies).run();
}

}  // namespace weighbridge::transfer
