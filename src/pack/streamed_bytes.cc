#include "pack/streamed_bytes.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"

namespace weighbridge::pack {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

// What a Transfer is asked to prove. Without pieces it would hold the file back until all of it had
// come; its digests are then compared by us, before the blob is named.
model::Snapshot snapshot_for(const model::File& file) {
  model::Snapshot snapshot;
  snapshot.files.push_back(file);
  if (file.method() != model::Method::kPieces) {
    snapshot.files.front().sha256.reset();
    snapshot.files.front().root.reset();
  }
  return snapshot;
}

Error differs(const model::File& file,
              std::string_view what,
              const std::string& expected,
              const std::string& found) {
  return Error(Code::kCorrupt,
               fmt::format("the file's {} is {}, expected {}", what, found, expected))
      .in_file(file.path);
}

}  // namespace

StreamedBytes::StreamedBytes(Parts parts)
    : parts_(std::move(parts)),
      snapshot_(snapshot_for(parts_.file)),
      describer_(parts_.file.size, parts_.hinted) {}

StreamedBytes::~StreamedBytes() {
  stop();
}

std::optional<registry::Digest> StreamedBytes::digest() const {
  if (described_) {
    return registry::Digest(described_->sha256);
  }
  return parts_.file.sha256 ? std::optional(registry::Digest(*parts_.file.sha256)) : std::nullopt;
}

void StreamedBytes::start(const Call& call, std::uint64_t offset) {
  stop();
  window_ = std::make_unique<PieceWindow>(size(), offset);
  releases_ = false;
  stop_ = std::stop_source();
  run_ = std::jthread([this, call, from = window_->position()] {
    const std::stop_callback forward(call.stop(), [this] { stop_.request_stop(); });
    const transfer::Want want{0, {from, size()}};
    auto run = parts_.transfer.run(call.stopped_by(stop_.get_token()),
                                   {parts_.source, snapshot_, std::span(&want, 1)},
                                   *window_,
                                   run_progress_,
                                   {.memory = &memory_});
    window_->end(run.ok() ? Result<void>() : Result<void>(std::move(run).error()));
  });
}

void StreamedBytes::stop() {
  if (run_.joinable()) {
    stop_.request_stop();
    run_.join();
  }
  window_.reset();
}

Result<std::span<const std::byte>> StreamedBytes::give(const Call& call, std::uint64_t most) {
  if (window_ != nullptr && std::exchange(releases_, false)) {
    window_->release();
  }
  const std::uint64_t piece = offset_ / hash::kPieceBytes * hash::kPieceBytes;
  if (window_ == nullptr || window_->position() != piece) {
    start(call, offset_);
  }
  auto taken = window_->take(call);
  for (std::string& note : run_progress_.notes.take()) {
    parts_.progress.notes.add(std::move(note));
  }
  const auto whole = TRY(std::move(taken));
  auto bytes = whole.subspan(offset_ - piece);
  bytes = bytes.first(std::min<std::uint64_t>(bytes.size(), most));
  if (offset_ < describer_.bytes()) {
    bytes = bytes.first(std::min<std::uint64_t>(bytes.size(), describer_.bytes() - offset_));
  } else {
    describer_.update(bytes);
  }
  offset_ += bytes.size();
  releases_ = offset_ == piece + whole.size();
  return bytes;
}

Result<void> StreamedBytes::seek(const Call& call, std::uint64_t offset) {
  if (offset_ != offset && describer_.bytes() < offset) {
    offset_ = describer_.bytes();
    while (offset_ < offset) {
      TRY(give(call, offset - offset_));
    }
  }
  offset_ = offset;
  return {};
}

Result<base::BodyPart> StreamedBytes::next(const Call& call, std::uint64_t most) {
  return base::BodyPart(TRY(give(call, most)));
}

Result<void> StreamedBytes::check() const {
  const model::File& file = parts_.file;
  if (file.sha256 && *file.sha256 != described_->sha256) {
    return differs(file, "SHA-256", file.sha256->hex(), described_->sha256.hex());
  }
  if (file.root && *file.root != described_->root) {
    return differs(file, "BLAKE3 root", file.root->hex(), described_->root.hex());
  }
  return {};
}

Result<registry::Digest> StreamedBytes::finish(const Call& /*call*/) {
  WB_CHECK(describer_.complete(), "a blob is named after its last byte");
  stop();
  if (!described_) {
    formats::SealedFile described;
    described.size = size();
    describer_.finish(described);
    described_ = std::move(described);
  }
  TRY(check());
  return registry::Digest(described_->sha256);
}

}  // namespace weighbridge::pack
