#include "pack/decompress.h"

#include <limits>
#include <utility>
#include <vector>

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <fmt/format.h>

#include "base/units.h"

namespace weighbridge::pack {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr std::size_t kOutputBytes = 128UL * 1024;

// As it came. Confined.
class Copying final : public Decompressor {
 public:
  Result<void> finish() const override { return {}; }

 private:
  Result<void> decompress(std::span<const std::byte> bytes, const Output& output) override {
    return output(bytes);
  }
};

// zlib's inflate, of gzip members only. Confined.
class Gzip final : public Decompressor {
 public:
  Gzip() : out_(kOutputBytes) {}

  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;

  ~Gzip() override { inflateEnd(&stream_); }

  Result<void> init() {
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) {
      return Error(Code::kExhausted, "no memory to decompress in");
    }
    return {};
  }

  Result<void> finish() const override {
    if (ended_) {
      return {};
    }
    return Error(Code::kCorrupt, "the gzip stream ends in the middle");
  }

 private:
  Result<void> decompress(std::span<const std::byte> bytes, const Output& output) override {
    constexpr std::size_t kMost = std::numeric_limits<uInt>::max();
    while (!bytes.empty()) {
      const std::span<const std::byte> part = bytes.first(std::min(bytes.size(), kMost));
      bytes = bytes.subspan(part.size());
      TRY(inflate_part(part, output));
    }
    return {};
  }

  Result<void> inflate_part(std::span<const std::byte> part, const Output& output) {
    // zlib's interface has no const; it does not write there.
    stream_.next_in = const_cast<Bytef*>(  // NOLINT(cppcoreguidelines-pro-type-const-cast)
        reinterpret_cast<const Bytef*>(part.data()));
    stream_.avail_in = static_cast<uInt>(part.size());
    bool full = false;  // more may come out though nothing more goes in
    while (stream_.avail_in != 0 || full) {
      if (ended_) {
        inflateReset(&stream_);  // the next member
        ended_ = false;
      }
      stream_.next_out = reinterpret_cast<Bytef*>(out_.data());
      stream_.avail_out = static_cast<uInt>(out_.size());
      const int code = inflate(&stream_, Z_NO_FLUSH);
      if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
        return Error(Code::kCorrupt,
                     fmt::format("the gzip stream is damaged ({})",
                                 stream_.msg == nullptr ? "no reason given" : stream_.msg));
      }
      TRY(output(std::span(out_).first(out_.size() - stream_.avail_out)));
      ended_ = code == Z_STREAM_END;
      full = stream_.avail_out == 0 && !ended_;
    }
    return {};
  }

  z_stream stream_{};
  bool ended_ = false;
  std::vector<std::byte> out_;
};

// zstd's streaming decoder. Confined.
class Zstd final : public Decompressor {
 public:
  Zstd() : stream_(ZSTD_createDStream()), out_(kOutputBytes) {}

  Zstd(const Zstd&) = delete;
  Zstd& operator=(const Zstd&) = delete;

  ~Zstd() override { ZSTD_freeDStream(stream_); }

  Result<void> init() {
    if (stream_ == nullptr || ZSTD_isError(ZSTD_DCtx_setParameter(
                                  stream_, ZSTD_d_windowLogMax, kMaxZstdWindowLog)) != 0) {
      return Error(Code::kExhausted, "no memory to decompress in");
    }
    return {};
  }

  Result<void> finish() const override {
    if (ended_) {
      return {};
    }
    return Error(Code::kCorrupt, "the zstd stream ends in the middle");
  }

 private:
  Result<void> decompress(std::span<const std::byte> bytes, const Output& output) override {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    bool full = false;
    while (in.pos < in.size || full) {
      ZSTD_outBuffer out{out_.data(), out_.size(), 0};
      const std::size_t left = ZSTD_decompressStream(stream_, &out, &in);
      if (ZSTD_isError(left) != 0) {
        return damaged(left);
      }
      TRY(output(std::span(out_).first(out.pos)));
      ended_ = left == 0;
      full = out.pos == out.size && !ended_;
    }
    return {};
  }

  static Error damaged(std::size_t code) {
    const bool window = ZSTD_getErrorCode(code) == ZSTD_error_frameParameter_windowTooLarge;
    return {window ? Code::kExhausted : Code::kCorrupt,
            window ? fmt::format("the zstd stream needs a window of more than {}",
                                 base::format_bytes(1ULL << kMaxZstdWindowLog))
                   : fmt::format("the zstd stream is damaged ({})", ZSTD_getErrorName(code))};
  }

  ZSTD_DStream* const stream_;
  bool ended_ = false;
  std::vector<std::byte> out_;
};

template <typename Kind>
Result<std::unique_ptr<Decompressor>> open_kind() {
  auto kind = std::make_unique<Kind>();
  TRY(kind->init());
  return std::unique_ptr<Decompressor>(std::move(kind));
}

}  // namespace

Result<std::unique_ptr<Decompressor>> Decompressor::open(Compression compression) {
  switch (compression) {
    case Compression::kGzip:
      return open_kind<Gzip>();
    case Compression::kZstd:
      return open_kind<Zstd>();
    case Compression::kNone:
      break;
  }
  return std::unique_ptr<Decompressor>(std::make_unique<Copying>());
}

Result<void> Decompressor::feed(std::span<const std::byte> bytes, const Output& output) {
  read_bytes_ += bytes.size();
  return decompress(bytes, [&](std::span<const std::byte> out) -> Result<void> {
    TRY(count(out.size()));
    return out.empty() ? Result<void>() : output(out);
  });
}

Result<void> Decompressor::count(std::uint64_t bytes) {
  given_bytes_ += bytes;
  if (given_bytes_ <= kBombFreeBytes || given_bytes_ / kMaxExpansion <= read_bytes_) {
    return {};
  }
  return Error(Code::kExhausted,
               fmt::format("{} of a compressed layer became {}, more than {} times as much",
                           base::format_bytes(read_bytes_),
                           base::format_bytes(given_bytes_),
                           kMaxExpansion));
}

}  // namespace weighbridge::pack
