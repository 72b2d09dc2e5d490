#include "transfer/make_seal.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "formats/safetensors.h"
#include "hash/hash_tree.h"
#include "hash/hint.h"
#include "hash/sha256.h"
#include "sources/buffer_sink.h"
#include "sync/guarded.h"

namespace weighbridge::transfer {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

constexpr std::size_t kMaxNamed = 20;  // refused entries named in an error

// Hashes a whole file in one pass, everything while the bytes are in the cache. Confined.
class Describer final : public base::BodySink {
 public:
  Describer(std::uint64_t file_bytes, std::vector<base::Range> hinted, Progress& progress)
      : file_bytes_(file_bytes),
        hinted_(std::move(hinted)),
        progress_(progress),
        buffer_(std::min(file_bytes, hash::kPieceBytes)) {
    hasher_.start(0);
  }

  std::span<std::byte> window() override {
    if (complete()) {
      return {};  // there is no piece after the last
    }
    const std::uint64_t piece_bytes = hash::piece_range(piece_, file_bytes_).size();
    return std::span(buffer_).first(piece_bytes).subspan(filled_);
  }

  Result<void> landed(std::size_t bytes) override {
    const auto fresh = std::span<const std::byte>(buffer_).subspan(filled_, bytes);
    sha256_.update(fresh);
    hint(fresh);
    filled_ += bytes;
    offset_ += bytes;
    progress_.received_bytes += bytes;
    const bool ends = filled_ == buffer_.size() || offset_ == file_bytes_;
    const std::size_t until = ends ? filled_ : filled_ / hash::kStrideBytes * hash::kStrideBytes;
    hasher_.update(std::span<const std::byte>(buffer_).subspan(hashed_, until - hashed_));
    hashed_ = until;
    if (ends && hash::piece_count(file_bytes_) > 1) {
      pieces_.push_back(hasher_.finish_piece());
      hasher_.start(++piece_);
      filled_ = 0;
      hashed_ = 0;
    }
    return {};
  }

  // After the last byte.
  void finish(formats::SealedFile& file) {
    file.sha256 = sha256_.finish();
    file.root = pieces_.empty() ? hasher_.finish_root() : hash::merge_pieces(pieces_);
    file.pieces = std::move(pieces_);
    file.hints = std::move(hints_);
  }

  bool complete() const { return offset_ == file_bytes_; }

 private:
  // The bytes at offset_ belong to the hinted tensors they overlap.
  void hint(std::span<const std::byte> bytes) {
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

  const std::uint64_t file_bytes_;
  const std::vector<base::Range> hinted_;
  Progress& progress_;
  std::vector<std::byte> buffer_;  // one piece
  std::size_t filled_ = 0;
  std::size_t hashed_ = 0;
  std::uint64_t piece_ = 0;
  std::uint64_t offset_ = 0;
  hash::PieceHasher hasher_;
  hash::Sha256 sha256_;
  hash::HintHasher hint_hasher_;
  std::vector<hash::ChainingValue> pieces_;
  std::vector<formats::TensorHint> hints_;
};

Result<std::vector<std::byte>> read_bytes(const Call& call,
                                          sources::Source& source,
                                          const model::File& file,
                                          base::Range range) {
  sources::BufferSink sink(range.size());
  TRY(source.read(call, file, range, sink));
  return sink.take();
}

// The tensors that carry a hint; none if the file is not what its name says.
Result<std::vector<base::Range>> hinted_tensors(const Call& call,
                                                sources::Source& source,
                                                const model::File& file) {
  std::vector<base::Range> hinted;
  if (!file.path.ends_with(".safetensors") || file.size < formats::kMinHintedBytes) {
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

Result<formats::SealedFile> describe(const Call& call,
                                     sources::Source& source,
                                     const model::File& file,
                                     Progress& progress) {
  Describer describer(file.size, TRY(hinted_tensors(call, source, file)), progress);
  TRY(source.read(call, file, {0, file.size}, describer));
  if (!describer.complete()) {
    return Error(Code::kUnavailable, "the file ended early").in_file(source.printable(file.path));
  }
  formats::SealedFile sealed;
  sealed.path = file.path;
  sealed.size = file.size;
  sealed.executable = file.executable;
  describer.finish(sealed);
  return sealed;
}

Result<void> nothing_refused(const sources::Listing& listing) {
  if (listing.refused.empty()) {
    return {};
  }
  std::vector<std::string> named;
  for (std::size_t i = 0; i < std::min(listing.refused.size(), kMaxNamed); ++i) {
    const auto& refused = listing.refused[i];
    named.push_back(fmt::format("'{}' ({})", base::printable(refused.path), refused.reason));
  }
  const std::size_t more = listing.refused.size() - named.size();
  return Error(Code::kInvalid,
               fmt::format("cannot be sealed: {}{}",
                           fmt::join(named, ", "),
                           more > 0 ? fmt::format(" and {} more", more) : ""))
      .in_file(listing.refused.front().path)
      .with_hint("Remove them, or seal another directory.");
}

}  // namespace

Result<formats::Seal> make_seal(const Call& call,
                                sources::Source& source,
                                const sources::Listing& listing,
                                Progress& progress) {
  TRY(nothing_refused(listing));
  formats::Seal seal;
  seal.files.resize(listing.files.size());
  for (const model::File& file : listing.files) {
    progress.wanted_bytes += file.size;
  }
  std::stop_source stop;
  const std::stop_callback<std::function<void()>> forward(call.stop(),
                                                          [&] { stop.request_stop(); });
  const Call inner = call.stopped_by(stop.get_token());
  std::atomic<std::size_t> next = 0;
  sync::Guarded<std::optional<Error>> failure;
  const auto work = [&] {
    for (std::size_t i = next++; i < listing.files.size() && !stop.stop_requested(); i = next++) {
      auto sealed = describe(inner, source, listing.files[i], progress);
      if (sealed.ok()) {
        seal.files[i] = std::move(sealed).value();
        continue;
      }
      failure.with([&](std::optional<Error>& first) {
        if (!first) {
          first = std::move(sealed).error();
        }
      });
      stop.request_stop();
    }
  };
  {
    std::vector<std::jthread> workers;
    const std::size_t threads = std::min(source.max_connections(), listing.files.size());
    for (std::size_t i = 1; i < threads; ++i) {
      workers.emplace_back(work);
    }
    work();
  }
  TRY(call.check());
  auto first = failure.with([](std::optional<Error>& error) { return std::move(error); });
  if (first) {
    return std::move(*first);
  }
  return seal;
}

}  // namespace weighbridge::transfer
