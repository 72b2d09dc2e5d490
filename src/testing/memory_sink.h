#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/body_sink.h"

namespace weighbridge::testing {

// A sink that keeps what lands, up to `limit` bytes in windows of at most `window` bytes.
// Confined, as every sink.
class MemorySink final : public base::BodySink {
 public:
  // Told how many bytes have landed in all; an error ends the body.
  using OnLanded = std::function<base::Result<void>(std::size_t)>;

  explicit MemorySink(std::size_t limit, std::size_t window = 64 * 1024, OnLanded on_landed = {})
      : memory_(limit, '\0'), window_(window), on_landed_(std::move(on_landed)) {}

  std::span<std::byte> window() override {
    const std::size_t size = std::min(window_, memory_.size() - landed_);
    return std::as_writable_bytes(std::span(memory_).subspan(landed_, size));
  }

  base::Result<void> landed(std::size_t bytes) override {
    landed_ += bytes;
    return on_landed_ ? on_landed_(landed_) : base::Result<void>();
  }

  std::string_view bytes() const { return std::string_view(memory_).substr(0, landed_); }

 private:
  std::string memory_;
  const std::size_t window_;
  const OnLanded on_landed_;
  std::size_t landed_ = 0;
};

}  // namespace weighbridge::testing
