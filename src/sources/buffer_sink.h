#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/body_sink.h"

namespace weighbridge::sources {

// A body kept in memory, at most `limit_bytes` of it; grows as bytes come, so that an announced
// length allocates nothing. Confined to one thread.
class BufferSink final : public base::BodySink {
 public:
  explicit BufferSink(std::uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}

  std::span<std::byte> window() override {
    const std::uint64_t room = std::min<std::uint64_t>(limit_bytes_ - filled_, kGrowBytes);
    bytes_.resize(filled_ + room);
    return std::span(bytes_).subspan(filled_);
  }

  base::Result<void> landed(std::size_t bytes) override {
    filled_ += bytes;
    return {};
  }

  // The bytes so far; the sink is empty afterwards.
  std::vector<std::byte> take() {
    bytes_.resize(filled_);
    filled_ = 0;
    return std::move(bytes_);
  }

 private:
  static constexpr std::uint64_t kGrowBytes = 256 * 1024;

  const std::uint64_t limit_bytes_;
  std::size_t filled_ = 0;
  std::vector<std::byte> bytes_;
};

// Counts a body and keeps nothing of it; takes at most `limit_bytes`. Confined to one thread.
class CountingSink final : public base::BodySink {
 public:
  explicit CountingSink(std::uint64_t limit_bytes) : limit_bytes_(limit_bytes), scratch_(kStep) {}

  std::span<std::byte> window() override {
    return std::span(scratch_).first(std::min<std::uint64_t>(limit_bytes_ - count_, kStep));
  }

  base::Result<void> landed(std::size_t bytes) override {
    count_ += bytes;
    return {};
  }

  std::uint64_t count() const { return count_; }

 private:
  static constexpr std::uint64_t kStep = 64 * 1024;

  const std::uint64_t limit_bytes_;
  std::uint64_t count_ = 0;
  std::vector<std::byte> scratch_;
};

}  // namespace weighbridge::sources
