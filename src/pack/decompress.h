#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "base/result.h"

namespace weighbridge::pack {

enum class Compression : std::uint8_t { kNone, kGzip, kZstd };

// A stream may give this much whatever its ratio; beyond, at most kMaxExpansion bytes a byte read.
inline constexpr std::uint64_t kBombFreeBytes = 64ULL * 1024 * 1024;
inline constexpr std::uint64_t kMaxExpansion = 1000;
// 128 MiB, what `zstd` itself accepts without being told.
inline constexpr int kMaxZstdWindowLog = 27;

// Decompresses as bytes come, and hands on what comes out in pieces of at most 128 KiB. Members and
// frames that follow one another are one stream. Confined to one thread.
class Decompressor {
 public:
  using Output = std::function<base::Result<void>(std::span<const std::byte>)>;

  static base::Result<std::unique_ptr<Decompressor>> open(Compression compression);

  Decompressor() = default;
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;
  virtual ~Decompressor() = default;

  // kCorrupt: this is no such stream, or a damaged one. kExhausted: it grows beyond all measure, or
  // needs a larger window. Or the error of `output`. Not called again after a failure.
  base::Result<void> feed(std::span<const std::byte> bytes, const Output& output);
  // kCorrupt if the stream has not ended.
  virtual base::Result<void> finish() const = 0;

 protected:
  virtual base::Result<void> decompress(std::span<const std::byte> bytes, const Output& output) = 0;

 private:
  base::Result<void> count(std::uint64_t bytes);

  std::uint64_t read_bytes_ = 0;
  std::uint64_t given_bytes_ = 0;
};

}  // namespace weighbridge::pack
