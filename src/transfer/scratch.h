#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "hash/hash_tree.h"
#include "sync/guarded.h"

namespace weighbridge::transfer {

// Buffers of one piece, used again and again. How many live at once is bounded by who takes them:
// one a connection, and the SHA-256 window. Thread-safe; must outlive its buffers.
class ScratchPool {
 public:
  // Page-aligned memory of kPieceBytes; goes back to the pool when destroyed. Confined to its
  // owner.
  class Buffer {
   public:
    Buffer() = default;
    Buffer(Buffer&&) noexcept = default;

    Buffer& operator=(Buffer&& other) noexcept {
      std::swap(memory_, other.memory_);
      std::swap(pool_, other.pool_);
      return *this;
    }

    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    ~Buffer() {
      if (memory_) {
        pool_->free_.with([&](auto& free) { free.push_back(std::move(memory_)); });
      }
    }

    std::span<std::byte> bytes() const { return {memory_->data, hash::kPieceBytes}; }

    explicit operator bool() const { return memory_ != nullptr; }

   private:
    friend class ScratchPool;

    struct alignas(4096) Memory {
      std::byte data[hash::kPieceBytes];
    };

    ScratchPool* pool_ = nullptr;
    std::unique_ptr<Memory> memory_;
  };

  Buffer take() {
    Buffer buffer;
    buffer.pool_ = this;
    free_.with([&](auto& free) {
      if (!free.empty()) {
        buffer.memory_ = std::move(free.back());
        free.pop_back();
      }
    });
    if (!buffer.memory_) {
      buffer.memory_ = std::make_unique_for_overwrite<Buffer::Memory>();
    }
    return buffer;
  }

 private:
  sync::Guarded<std::vector<std::unique_ptr<Buffer::Memory>>> free_;
};

}  // namespace weighbridge::transfer
