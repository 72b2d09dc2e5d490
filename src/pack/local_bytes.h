#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/range.h"
#include "formats/seal.h"
#include "io/file_system.h"
#include "model/snapshot.h"
#include "pack/blob_bytes.h"
#include "transfer/file_describer.h"

namespace weighbridge::pack {

// A file of this machine, open to be sent. kConflict as soon as it is no longer the one that
// `file` describes. Confined.
class LocalFile {
 public:
  static base::Result<LocalFile> open(io::FileSystem& files,
                                      std::string path,
                                      const model::File& file);

  // Fills `into` from `offset`.
  base::Result<void> read(std::uint64_t offset, std::span<std::byte> into);
  // Is it still what it was?
  base::Result<void> check() const;

  int descriptor() const { return file_->descriptor(); }

 private:
  LocalFile(std::unique_ptr<io::OpenFile> file, std::string path, io::FileInfo info)
      : file_(std::move(file)), path_(std::move(path)), info_(info) {}

  base::Error changed() const;

  std::unique_ptr<io::OpenFile> file_;
  std::string path_;
  io::FileInfo info_;
};

// A whole file as one blob, read once: what is read to be hashed is what the kernel then sends from
// the page cache, or the memory it was read into where the connection is encrypted. Confined.
class WholeFileBytes final : public BlobBytes {
 public:
  // `raw`: the connection takes a file's bytes from the page cache.
  WholeFileBytes(LocalFile file, std::uint64_t size, std::vector<base::Range> hinted, bool raw);

  std::uint64_t size() const override { return size_; }

  std::optional<registry::Digest> digest() const override;
  base::Result<void> seek(const base::Call& call, std::uint64_t offset) override;
  base::Result<base::BodyPart> next(const base::Call& call, std::uint64_t most) override;
  base::Result<registry::Digest> finish(const base::Call& call) override;

  // After finish(): what the seal says of it, but its path and its bit.
  const formats::SealedFile& described() const { return *described_; }

 private:
  base::Result<std::span<const std::byte>> hash(std::uint64_t most);

  LocalFile file_;
  const std::uint64_t size_;
  const bool raw_;
  std::vector<std::byte> buffer_;
  transfer::FileDescriber describer_;
  std::optional<formats::SealedFile> described_;
  std::uint64_t offset_ = 0;
};

// Some of a file, or all of it, whose digest is known: nothing is hashed, the registry's own check
// decides. Confined.
class KnownBytes final : public BlobBytes {
 public:
  KnownBytes(LocalFile file, base::Range range, registry::Digest digest)
      : file_(std::move(file)), range_(range), digest_(std::move(digest)) {}

  std::uint64_t size() const override { return range_.size(); }

  std::optional<registry::Digest> digest() const override { return digest_; }

  base::Result<void> seek(const base::Call& call, std::uint64_t offset) override;
  base::Result<base::BodyPart> next(const base::Call& call, std::uint64_t most) override;
  base::Result<registry::Digest> finish(const base::Call& call) override;

 private:
  LocalFile file_;
  const base::Range range_;
  const registry::Digest digest_;
  std::uint64_t offset_ = 0;
};

// Bytes in memory, which outlive it. Confined.
class MemoryBytes final : public BlobBytes {
 public:
  explicit MemoryBytes(std::span<const std::byte> bytes)
      : bytes_(bytes), digest_(registry::Digest::of(bytes)) {}

  std::uint64_t size() const override { return bytes_.size(); }

  std::optional<registry::Digest> digest() const override { return digest_; }

  base::Result<void> seek(const base::Call& call, std::uint64_t offset) override;
  base::Result<base::BodyPart> next(const base::Call& call, std::uint64_t most) override;

  base::Result<registry::Digest> finish(const base::Call& /*call*/) override { return digest_; }

 private:
  const std::span<const std::byte> bytes_;
  const registry::Digest digest_;
  std::uint64_t offset_ = 0;
};

// What a file's seal and its layers say, where it is cut into several: one pass over all of it.
struct CutFile {
  formats::SealedFile described;
  std::vector<registry::Digest> layers;
};

base::Result<CutFile> describe_in_parts(const base::Call& call,
                                        LocalFile& file,
                                        std::uint64_t size,
                                        std::vector<base::Range> hinted,
                                        std::span<const base::Range> parts);

}  // namespace weighbridge::pack
