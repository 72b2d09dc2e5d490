#include "pack/unpack.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace weighbridge::pack {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kWindowBytes = 256 * 1024;

}  // namespace

Result<std::unique_ptr<LayerUnpacker>> LayerUnpacker::open(const registry::Descriptor& layer,
                                                           Options options,
                                                           PathSet& paths,
                                                           EntrySink& sink) {
  auto decompressor = TRY(Decompressor::open(options.compression));
  return std::unique_ptr<LayerUnpacker>(
      new LayerUnpacker(layer, options, paths, sink, std::move(decompressor)));
}

LayerUnpacker::LayerUnpacker(const registry::Descriptor& layer,
                             Options options,
                             PathSet& paths,
                             EntrySink& sink,
                             std::unique_ptr<Decompressor> decompressor)
    : layer_(layer),
      digester_(layer.digest.algorithm()),
      decompressor_(std::move(decompressor)),
      tar_({options.limit_bytes, [this](const std::string& path) { left_out_.push_back(path); }},
           paths,
           sink),
      window_(kWindowBytes) {}

std::span<std::byte> LayerUnpacker::window() {
  return std::span(window_).first(
      std::min<std::uint64_t>(window_.size(), layer_.size - read_bytes_));
}

Result<void> LayerUnpacker::landed(std::size_t bytes) {
  const std::span<const std::byte> landed = std::span(window_).first(bytes);
  read_bytes_ += bytes;
  digester_.update(landed);
  return decompressor_->feed(landed,
                             [this](std::span<const std::byte> out) { return tar_.feed(out); });
}

Result<void> LayerUnpacker::finish() {
  if (read_bytes_ != layer_.size) {
    return Error(Code::kCorrupt,
                 fmt::format("the layer has {} bytes instead of {}", read_bytes_, layer_.size));
  }
  const registry::Digest found = digester_.finish();
  if (found != layer_.digest) {
    return Error(Code::kCorrupt,
                 fmt::format("the layer is not what its digest says: expected {}, found {}",
                             layer_.digest.text(),
                             found.text()));
  }
  TRY(decompressor_->finish());
  return tar_.finish();
}

}  // namespace weighbridge::pack
