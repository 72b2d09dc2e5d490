#include "transfer/file_describer.h"

#include <algorithm>
#include <utility>

#include "formats/safetensors.h"
#include "sources/buffer_sink.h"

namespace weighbridge::transfer {
namespace {

using base::Call;
using base::Result;

Result<std::vector<std::byte>> read_bytes(const Call& call,
                                          sources::Source& source,
                                          const model::File& file,
                                          base::Range range) {
  sources::BufferSink sink(range.size());
  TRY(source.read(call, file, range, sink));
  return sink.take();
}

}  // namespace

FileDescriber::FileDescriber(std::uint64_t file_bytes, std::vector<base::Range> hinted)
    : file_bytes_(file_bytes), hinted_(std::move(hinted)) {
  hasher_.start(0);
}

void FileDescriber::update(std::span<const std::byte> bytes) {
  sha256_.update(bytes);
  hint(bytes);
  hash_in_tree(bytes);
}

// The bytes at offset_ belong to the hinted tensors they overlap.
void FileDescriber::hint(std::span<const std::byte> bytes) {
  const std::uint64_t end = offset_ + bytes.size();
  while (hints_.size() < hinted_.size() && hinted_[hints_.size()].begin < end) {
    const base::Range tensor = hinted_[hints_.size()];
    const base::Range overlap{std::max(tensor.begin, offset_), std::min(tensor.end, end)};
    hint_hasher_.update(bytes.subspan(overlap.begin - offset_, overlap.size()));
    if (tensor.end > end) {
      return;
    }
    hints_.push_back({tensor, hint_hasher_.finish()});
  }
}

void FileDescriber::hash_in_tree(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::uint64_t end = hash::piece_range(piece_, file_bytes_).end;
    const auto some = bytes.first(std::min<std::uint64_t>(bytes.size(), end - offset_));
    const bool ends = offset_ + some.size() == end;
    hash_in_piece(some, ends);
    offset_ += some.size();
    bytes = bytes.subspan(some.size());
    if (ends && hash::piece_count(file_bytes_) > 1) {
      pieces_.push_back(hasher_.finish_piece());
      ++piece_;
      hasher_.start(piece_);
    }
  }
}

void FileDescriber::hash_in_piece(std::span<const std::byte> bytes, bool ends) {
  const auto carry = [&](std::size_t count) {
    std::copy_n(bytes.begin(), count, carry_.begin() + static_cast<std::ptrdiff_t>(carried_));
    carried_ += count;
    bytes = bytes.subspan(count);
  };
  if (carried_ > 0) {
    carry(std::min(bytes.size(), carry_.size() - carried_));
    if (carried_ < carry_.size() && !ends) {
      return;
    }
    hasher_.update(std::span<const std::byte>(carry_).first(std::exchange(carried_, 0)));
  }
  const std::size_t whole =
      ends ? bytes.size() : bytes.size() / hash::kStrideBytes * hash::kStrideBytes;
  hasher_.update(bytes.first(whole));
  bytes = bytes.subspan(whole);
  carry(bytes.size());
}

void FileDescriber::finish(formats::SealedFile& file) {
  file.sha256 = sha256_.finish();
  file.root = pieces_.empty() ? hasher_.finish_root() : hash::merge_pieces(pieces_);
  file.pieces = std::move(pieces_);
  file.hints = std::move(hints_);
}

bool may_have_hints(const model::File& file) {
  return file.path.ends_with(".safetensors") && file.size >= formats::kMinHintedBytes;
}

Result<std::vector<base::Range>> hinted_tensors(const Call& call,
                                                sources::Source& source,
                                                const model::File& file) {
  std::vector<base::Range> hinted;
  if (!may_have_hints(file)) {
    return hinted;
  }
  const auto prefix = TRY(read_bytes(call, source, file, {0, formats::kSafetensorsPrefixBytes}));
  const auto header = formats::safetensors_header(prefix, file.size);
  if (!header.ok()) {
    return hinted;
  }
  const auto json = TRY(read_bytes(call, source, file, *header));
  const auto table = formats::parse_safetensors(json, *header, file.size);
  if (!table.ok()) {
    return hinted;
  }
  for (const model::TensorEntry& tensor : table->tensors) {
    if (tensor.bytes.size() >= formats::kMinHintedBytes) {
      hinted.push_back(tensor.bytes);
    }
  }
  return hinted;
}

}  // namespace weighbridge::transfer
