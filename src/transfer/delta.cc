#include "transfer/delta.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <span>
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

// Leases on the blobs that are copied from. Confined.
class Blobs {
 public:
  Blobs(const Call& call, store::Store& store) : call_(call), store_(store) {}

  // Null if it is not there any more.
  Result<const store::BlobFile*> find(const hash::Root& root) {
    const auto found = leases_.find(root);
    if (found != leases_.end()) {
      return found->second ? &*found->second : nullptr;
    }
    auto opened = store_.blobs().open(call_, root);
    if (!opened.ok() && opened.error().code() != Code::kNotFound) {
      return std::move(opened).error();
    }
    auto& lease = leases_[root];
    if (opened.ok()) {
      lease.emplace(std::move(opened).value());
    }
    return lease ? &*lease : nullptr;
  }

 private:
  const Call& call_;
  store::Store& store_;
  std::map<hash::Root, std::optional<store::BlobFile>> leases_;
};

// Copies into one file. Confined.
class Copier {
 public:
  Copier(const Call& call,
         store::Store& store,
         const formats::SealedFile& wanted,
         store::Partial& partial,
         std::span<const Copy> copies)
      : call_(call),
        wanted_(wanted),
        partial_(partial),
        copies_(copies),
        blobs_(call, store),
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
    const store::BlobFile* const blob = TRY(blobs_.find(copy->from));
    const std::uint64_t from = copy->from_offset + (range.begin - copy->to.begin);
    if (blob == nullptr || from % io::kDirectBytes != 0 || from + range.size() > blob->size()) {
      return false;
    }
    if (!partial_.clone(blob->file(), {from, from + range.size()}, range.begin).ok()) {
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
      const store::BlobFile* const blob = copy == nullptr ? nullptr : TRY(blobs_.find(copy->from));
      if (blob == nullptr) {
        return false;
      }
      const std::uint64_t end = std::min(range.end, copy->to.end);
      const auto read = store::read_exactly(blob->file(),
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
  Blobs blobs_;
  PieceWriter writer_;
  const std::unique_ptr<hash::PieceHasher> hasher_ = std::make_unique<hash::PieceHasher>();
  std::size_t first_ = 0;  // copies before it end before what is looked at
  bool can_share_ = true;
  std::uint64_t copied_ = 0;
};

}  // namespace

Result<std::uint64_t> use_copies(const Call& call,
                                 store::Store& store,
                                 const formats::SealedFile& wanted,
                                 store::Partial& partial,
                                 std::span<const Copy> copies) {
  return copies.empty() ? Result<std::uint64_t>(0)
                        : Copier(call, store, wanted, partial, copies).run();
}

Result<std::uint64_t> take_copies(const Call& call,
                                  store::Store& store,
                                  const formats::SealedFile& wanted,
                                  store::Partial& partial) {
  if (wanted.pieces.empty()) {
    return 0;
  }
  const auto copies =
      TRY(store::find_copies(call, store.home(), store.blobs(), store.refs(), wanted));
  return use_copies(call, store, wanted, partial, copies);
}

}  // namespace weighbridge::transfer
