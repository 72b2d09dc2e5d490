#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "hash/hash_tree.h"
#include "sync/guarded.h"
#include "transfer/sink.h"

namespace weighbridge::transfer {

// Bytes of a size that is known before they come: memory that is not touched until then.
// Confined to its owner.
class Bytes {
 public:
  Bytes() = default;

  explicit Bytes(std::size_t size)
      : data_(std::make_unique_for_overwrite<std::byte[]>(size)), size_(size) {}

  std::span<std::byte> span() const { return {data_.get(), size_}; }

 private:
  std::unique_ptr<std::byte[]> data_;
  std::size_t size_ = 0;
};

// Keeps a run of pieces of each of some files in ordinary memory, where they are received: headers
// and other small things. Thread-safe.
class MemorySink final : public Sink {
 public:
  // Before the run, for each file: from `range`'s first piece to its last. Its size is bounded by
  // whoever wants it.
  void expect(const model::File& file, base::Range range) {
    const std::uint64_t begin = range.begin / hash::kPieceBytes * hash::kPieceBytes;
    const std::uint64_t last = std::max<std::uint64_t>(range.end, 1) - 1;
    const std::uint64_t end =
        std::min(file.size, (last / hash::kPieceBytes + 1) * hash::kPieceBytes);
    Kept kept{begin, Bytes(end - std::min(begin, end)), {}};
    files_.with([&](auto& files) { files.insert_or_assign(&file, std::move(kept)); });
  }

  base::Result<std::span<std::byte>> place(const model::File& file, base::Range piece) override {
    return files_.with([&](auto& files) -> std::span<std::byte> {
      const Kept& kept = files.at(&file);
      const std::span<std::byte> bytes = kept.bytes.span();
      if (piece.begin < kept.begin || piece.end > kept.begin + bytes.size()) {
        return {};  // read to prove the file, and not kept
      }
      return bytes.subspan(piece.begin - kept.begin, piece.size());
    });
  }

  base::Result<void> landed(const model::File&, base::Range, std::span<const std::byte>) override {
    return {};
  }

  base::Result<void> publish(const model::File& file, base::Range, model::Proof proof) override {
    files_.with([&](auto& files) { files.at(&file).proof = proof; });
    return {};
  }

  void abandon(const model::File& file, const base::Error&) override {
    files_.with([&](auto& files) { files.erase(&file); });
  }

  struct Taken {
    Bytes bytes;
    model::Proof proof;
  };

  // After a run that succeeded: all that was expected of the file, which the sink forgets.
  Taken take(const model::File& file) {
    return files_.with([&](auto& files) {
      Kept kept = std::move(files.at(&file));
      files.erase(&file);
      return Taken{std::move(kept.bytes), kept.proof};
    });
  }

 private:
  struct Kept {
    std::uint64_t begin = 0;
    Bytes bytes;
    model::Proof proof;
  };

  sync::Guarded<std::map<const model::File*, Kept>> files_;
};

}  // namespace weighbridge::transfer
