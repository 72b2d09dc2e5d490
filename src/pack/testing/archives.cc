#include "pack/testing/archives.h"

#include <algorithm>
#include <random>

#include <zlib.h>
#include <zstd.h>

#include <fmt/format.h>

#include "base/check.h"

namespace weighbridge::pack::testing {
namespace {

constexpr std::size_t kBlock = 512;

void put(std::string& block, std::size_t at, std::string_view text) {
  std::copy(text.begin(), text.end(), block.begin() + static_cast<std::ptrdiff_t>(at));
}

std::string padded(std::string bytes) {
  bytes.resize((bytes.size() + kBlock - 1) / kBlock * kBlock);
  return bytes;
}

}  // namespace

std::string tar_entry(const TarEntry& entry) {
  std::string block(kBlock, '\0');
  put(block, 0, std::string_view(entry.path).substr(0, 100));
  put(block, 100, fmt::format("{:07o}", entry.mode));
  put(block, 108, "0001750");
  put(block, 116, "0001750");
  put(block,
      124,
      entry.size_field.empty() ? fmt::format("{:011o}", entry.body.size()) : entry.size_field);
  put(block, 136, "14711166301");
  put(block, 148, "        ");
  block[156] = entry.type;
  put(block, 157, std::string_view(entry.link).substr(0, 100));
  put(block,
      257,
      std::string_view("ustar\0"
                       "00",
                       8));
  unsigned sum = 0;
  for (const char c : block) {
    sum += static_cast<unsigned char>(c);
  }
  put(block, 148, fmt::format("{:06o}", entry.break_checksum ? sum + 1 : sum));
  block[154] = '\0';
  return block + padded(entry.body);
}

std::string tar_end() {
  return std::string(2 * kBlock, '\0');
}

std::string tar_of(const std::vector<TarEntry>& entries) {
  std::string tar;
  for (const TarEntry& entry : entries) {
    tar += tar_entry(entry);
  }
  return tar + tar_end();
}

std::string pax(const std::vector<std::pair<std::string, std::string>>& records, char type) {
  std::string body;
  for (const auto& [key, value] : records) {
    const std::string rest = fmt::format(" {}={}\n", key, value);
    std::size_t length = rest.size() + 1;
    while (fmt::format("{}", length).size() + rest.size() != length) {
      ++length;
    }
    body += fmt::format("{}{}", length, rest);
  }
  return tar_entry({.path = "PaxHeaders/x", .body = body, .type = type});
}

std::string gzip(std::string_view bytes) {
  z_stream stream{};
  WB_CHECK(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK,
           "deflateInit2");
  std::string in(bytes);
  std::string out(deflateBound(&stream, in.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  WB_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END, "deflate");
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(std::string_view bytes, int window_log) {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  if (window_log != 0) {
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  }
  std::string out(ZSTD_compressBound(bytes.size()) + 64, '\0');
  // Streamed, so that the frame has a window of that size whatever the size of the bytes.
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  ZSTD_outBuffer space{out.data(), out.size(), 0};
  ZSTD_compressStream2(context, &space, &in, ZSTD_e_flush);
  WB_CHECK(ZSTD_compressStream2(context, &space, &in, ZSTD_e_end) == 0, "ZSTD_compressStream2");
  ZSTD_freeCCtx(context);
  out.resize(space.pos);
  return out;
}

std::string noise(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes(count, '\0');
  for (char& byte : bytes) {
    byte = static_cast<char>(random());
  }
  return bytes;
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

base::Result<void> MemoryEntries::begin(const Entry& entry) {
  open_ = entry;
  files[entry.path].clear();
  executable[entry.path] = entry.executable;
  return {};
}

base::Result<void> MemoryEntries::write(std::span<const std::byte> bytes) {
  files[open_.path].append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return {};
}

base::Result<void> MemoryEntries::end() {
  WB_CHECK(files[open_.path].size() == open_.size, "a file of another size was given");
  return {};
}

}  // namespace weighbridge::pack::testing
