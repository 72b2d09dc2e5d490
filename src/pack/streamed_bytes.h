#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "formats/seal.h"
#include "model/snapshot.h"
#include "pack/blob_bytes.h"
#include "pack/piece_window.h"
#include "sources/source.h"
#include "sync/budget.h"
#include "transfer/file_describer.h"
#include "transfer/transfer.h"

namespace weighbridge::pack {

// A file of any Source as one blob, straight through: fetched and proved by Transfer, a window of
// it in memory, hashed as it leaves. What has to be given again is fetched again. Confined.
class StreamedBytes final : public BlobBytes {
 public:
  // What a run of the Transfer may hold beside the window.
  static constexpr std::uint64_t kRunBytes = 32ULL * 1024 * 1024;

  struct Parts {
    transfer::Transfer& transfer;
    sources::Source& source;
    const model::File& file;  // with what is known of it
    std::vector<base::Range> hinted{};
    transfer::Progress& progress;  // takes the notes of the runs
  };

  explicit StreamedBytes(Parts parts);
  ~StreamedBytes() override;

  std::uint64_t size() const override { return parts_.file.size; }

  std::optional<registry::Digest> digest() const override;
  base::Result<void> seek(const base::Call& call, std::uint64_t offset) override;
  base::Result<base::BodyPart> next(const base::Call& call, std::uint64_t most) override;
  // kCorrupt: the bytes have not the digests that are known of the file.
  base::Result<registry::Digest> finish(const base::Call& call) override;

  // After finish(): what the seal says of it, but its path and its bit.
  const std::optional<formats::SealedFile>& described() const { return described_; }

 private:
  void start(const base::Call& call, std::uint64_t offset);
  void stop();
  // The next bytes at `offset_`, hashed if they had not been before.
  base::Result<std::span<const std::byte>> give(const base::Call& call, std::uint64_t most);
  base::Result<void> check() const;

  const Parts parts_;
  model::Snapshot snapshot_;  // the file alone
  sync::Budget memory_{kRunBytes};
  transfer::Progress run_progress_;
  transfer::FileDescriber describer_;
  std::optional<formats::SealedFile> described_;
  std::uint64_t offset_ = 0;
  bool releases_ = false;  // what was given last is the end of its piece
  std::unique_ptr<PieceWindow> window_;
  std::stop_source stop_;
  std::jthread run_;
};

}  // namespace weighbridge::pack
