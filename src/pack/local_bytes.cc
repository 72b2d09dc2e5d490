#include "pack/local_bytes.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/units.h"
#include "hash/sha256.h"
#include "sources/file_source.h"

namespace weighbridge::pack {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

// Small enough to be hashed, and sent, while it is in the CPU's cache.
constexpr std::size_t kStepBytes = 256 * base::kKiB;
// What is sent unhashed goes in steps that a progress bar can follow.
constexpr std::uint64_t kSendBytes = 4 * base::kMiB;

}  // namespace

Result<LocalFile> LocalFile::open(io::FileSystem& files,
                                  std::string path,
                                  const model::File& file) {
  auto opened = TRY(files.open(path));
  const io::FileInfo info = TRY(opened->info());
  LocalFile local(std::move(opened), std::move(path), info);
  if (sources::validator_of(info) != file.validator || info.size != file.size) {
    return local.changed();
  }
  return local;
}

Error LocalFile::changed() const {
  return Error(Code::kConflict, "the file changed while it was being read")
      .in_file(path_)
      .with_hint("Push it again once nobody writes to it.");
}

Result<void> LocalFile::read(std::uint64_t offset, std::span<std::byte> into) {
  while (!into.empty()) {
    const std::size_t bytes = TRY(file_->read_at(offset, into));
    if (bytes == 0) {
      return changed();
    }
    offset += bytes;
    into = into.subspan(bytes);
  }
  return check();
}

Result<void> LocalFile::check() const {
  const io::FileInfo now = TRY(file_->info());
  const bool same =
      now.size == info_.size && now.mtime_ns == info_.mtime_ns && now.ctime_ns == info_.ctime_ns;
  return same ? Result<void>() : changed();
}

WholeFileBytes::WholeFileBytes(LocalFile file,
                               std::uint64_t size,
                               std::vector<base::Range> hinted,
                               bool raw)
    : file_(std::move(file)),
      size_(size),
      raw_(raw),
      buffer_(std::min<std::uint64_t>(size, kStepBytes)),
      describer_(size, std::move(hinted)) {}

std::optional<registry::Digest> WholeFileBytes::digest() const {
  return described_ ? std::optional(registry::Digest(described_->sha256)) : std::nullopt;
}

// Reads and hashes what comes next.
Result<std::span<const std::byte>> WholeFileBytes::hash(std::uint64_t most) {
  const std::uint64_t at = describer_.bytes();
  const std::uint64_t aligned = kStepBytes - at % kStepBytes;
  const auto bytes = std::span(buffer_).first(std::min({aligned, most, size_ - at}));
  TRY(file_.read(at, bytes));
  describer_.update(bytes);
  return std::span<const std::byte>(bytes);
}

Result<void> WholeFileBytes::seek(const Call& call, std::uint64_t offset) {
  while (describer_.bytes() < offset) {
    TRY(call.check());
    TRY(hash(offset - describer_.bytes()));
  }
  offset_ = offset;
  return {};
}

Result<base::BodyPart> WholeFileBytes::next(const Call& call, std::uint64_t most) {
  TRY(call.check());
  const std::uint64_t at = offset_;
  if (at < describer_.bytes()) {
    const std::uint64_t bytes = std::min({most, describer_.bytes() - at, kSendBytes});
    offset_ += bytes;
    return base::BodyPart(base::FilePart{file_.descriptor(), at, bytes});
  }
  const auto bytes = TRY(hash(most));
  offset_ += bytes.size();
  if (raw_) {
    return base::BodyPart(base::FilePart{file_.descriptor(), at, bytes.size()});
  }
  return base::BodyPart(bytes);
}

Result<registry::Digest> WholeFileBytes::finish(const Call& /*call*/) {
  WB_CHECK(describer_.complete(), "a blob is named after its last byte");
  TRY(file_.check());
  if (!described_) {
    formats::SealedFile described;
    described.size = size_;
    describer_.finish(described);
    described_ = std::move(described);
  }
  return *digest();
}

Result<void> KnownBytes::seek(const Call& /*call*/, std::uint64_t offset) {
  offset_ = offset;
  return file_.check();
}

Result<base::BodyPart> KnownBytes::next(const Call& call, std::uint64_t most) {
  TRY(call.check());
  TRY(file_.check());
  const std::uint64_t bytes = std::min(most, kSendBytes);
  const std::uint64_t at = range_.begin + offset_;
  offset_ += bytes;
  return base::BodyPart(base::FilePart{file_.descriptor(), at, bytes});
}

Result<registry::Digest> KnownBytes::finish(const Call& /*call*/) {
  TRY(file_.check());
  return digest_;
}

Result<void> MemoryBytes::seek(const Call& /*call*/, std::uint64_t offset) {
  offset_ = offset;
  return {};
}

Result<base::BodyPart> MemoryBytes::next(const Call& call, std::uint64_t most) {
  TRY(call.check());
  const auto part = bytes_.subspan(offset_, std::min<std::uint64_t>(most, bytes_.size() - offset_));
  offset_ += part.size();
  return base::BodyPart(part);
}

Result<CutFile> describe_in_parts(const Call& call,
                                  LocalFile& file,
                                  std::uint64_t size,
                                  std::vector<base::Range> hinted,
                                  std::span<const base::Range> parts) {
  CutFile cut;
  transfer::FileDescriber describer(size, std::move(hinted));
  std::vector<std::byte> buffer(kStepBytes);
  for (const base::Range& part : parts) {
    hash::Sha256 sha256;
    for (std::uint64_t at = part.begin; at < part.end;) {
      TRY(call.check());
      const auto bytes =
          std::span(buffer).first(std::min<std::uint64_t>(kStepBytes, part.end - at));
      TRY(file.read(at, bytes));
      sha256.update(bytes);
      describer.update(bytes);
      at += bytes.size();
    }
    cut.layers.emplace_back(sha256.finish());
  }
  cut.described.size = size;
  describer.finish(cut.described);
  return cut;
}

}  // namespace weighbridge::pack
