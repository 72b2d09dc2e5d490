#include "store/testing/store_world.h"

#include <random>

#include "base/check.h"
#include "hash/hash_tree.h"
#include "hash/sha256.h"
#include "store/files.h"

namespace weighbridge::store::testing {

using base::Result;

Bytes bytes_of(std::uint64_t seed, std::size_t size) {
  std::mt19937_64 random(seed);
  Bytes bytes(size);
  for (std::byte& byte : bytes) {
    byte = static_cast<std::byte>(random() & 0xFFU);
  }
  return bytes;
}

std::vector<hash::ChainingValue> values_of(const Bytes& bytes) {
  const std::uint64_t pieces = hash::piece_count(bytes.size());
  const auto hasher = std::make_unique<hash::PieceHasher>();
  std::vector<hash::ChainingValue> values;
  for (std::uint64_t piece = 0; piece < pieces; ++piece) {
    const base::Range range = hash::piece_range(piece, bytes.size());
    hasher->start(piece);
    hasher->update(std::span(bytes).subspan(range.begin, range.size()));
    values.push_back(pieces == 1 ? hash::ChainingValue{hasher->finish_root().bytes}
                                 : hasher->finish_piece());
  }
  return values;
}

model::File sealed(const std::string& path, const Bytes& bytes) {
  model::File file;
  file.path = path;
  file.size = bytes.size();
  file.root = hash::hash_bytes(bytes);
  if (bytes.size() > hash::kPieceBytes) {
    file.pieces = values_of(bytes);
  }
  file.trust = model::Trust::kOrigin;
  return file;
}

model::File with_sha256(const std::string& path, const Bytes& bytes) {
  model::File file;
  file.path = path;
  file.size = bytes.size();
  file.sha256 = hash::Sha256::of(bytes);
  file.trust = model::Trust::kOrigin;
  return file;
}

Bytes contents_of(const BlobFile& blob) {
  Bytes bytes(blob.size());
  WB_CHECK(read_exactly(blob.file(), 0, bytes).ok(), "a leased blob can be read");
  return bytes;
}

Result<Opened> open_store(io::FileSystem& files,
                          const std::string& path,
                          SpaceLimits limits,
                          std::uint64_t checkpoint_bytes) {
  Opened opened;
  opened.home = TRY(Home::open(files, path));
  opened.space = std::make_unique<Space>(*opened.home, limits);
  opened.blobs = std::make_unique<Blobs>(*opened.home, *opened.space, checkpoint_bytes);
  opened.snapshots = std::make_unique<Snapshots>(*opened.home, *opened.blobs);
  opened.refs = std::make_unique<Refs>(*opened.home);
  return opened;
}

Result<void> fill(BlobWriter& writer, const Bytes& bytes, std::uint64_t* written) {
  const std::vector<hash::ChainingValue> values = values_of(bytes);
  for (std::uint64_t piece = 0; piece < values.size(); ++piece) {
    if (writer.partial().has(piece)) {
      continue;
    }
    const base::Range range = hash::piece_range(piece, bytes.size());
    TRY(writer.partial().write(piece,
                               std::span(bytes).subspan(range.begin, range.size()),
                               std::span(values).subspan(piece, 1)));
    if (written != nullptr) {
      ++*written;
    }
  }
  return {};
}

Result<BlobFile> fetch(const base::Call& call,
                       Blobs& blobs,
                       const model::File& file,
                       const Bytes& bytes,
                       std::uint64_t* written) {
  auto begun = TRY(blobs.begin(call, {.file = file, .identity = "test:" + file.path}));
  if (begun.blob) {
    return *std::move(begun.blob);
  }
  TRY(fill(*begun.writer, bytes, written));
  std::vector<std::unique_ptr<BlobWriter>> writers;
  writers.push_back(std::move(begun.writer));
  auto made = TRY(blobs.commit(call, std::move(writers)));
  return std::move(made.front());
}

}  // namespace weighbridge::store::testing
