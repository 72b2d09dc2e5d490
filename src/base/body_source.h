#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>

#include "base/call.h"
#include "base/result.h"

namespace weighbridge::base {

// Bytes of an open file that whoever sends them may take from the page cache, without reading them
// into memory. Borrows the descriptor until the next part is asked for. A value.
struct FilePart {
  int descriptor = -1;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

// The next bytes of a body: in memory, or in a file.
using BodyPart = std::variant<std::span<const std::byte>, FilePart>;

// Where one body comes from, in order. The taker asks for part after part while it sends them, so
// whoever gives them can hash each before it goes. Confined to the thread that sends the body.
class BodySource {
 public:
  BodySource() = default;
  BodySource(const BodySource&) = delete;
  BodySource& operator=(const BodySource&) = delete;
  virtual ~BodySource() = default;

  // Of the whole body; does not change.
  virtual std::uint64_t size_bytes() const = 0;

  // The next part, never empty, valid until the next call; asked for until the parts make
  // size_bytes(), or until nobody wants the rest. May block, as on another connection. An error
  // ends the body; the taker returns it as it is.
  virtual Result<BodyPart> next(const Call& call) = 0;
};

// A body in memory, which the caller keeps until it is sent. Confined, as every source.
class MemoryBody final : public BodySource {
 public:
  explicit MemoryBody(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::uint64_t size_bytes() const override { return bytes_.size(); }

  Result<BodyPart> next(const Call& /*call*/) override { return BodyPart(bytes_); }

 private:
  const std::span<const std::byte> bytes_;
};

}  // namespace weighbridge::base
