#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"

namespace weighbridge::net {

// What the other side sends, as a seam: a connection, or memory in tests. Confined to the thread
// that reads the answer.
class ByteStream {
 public:
  ByteStream() = default;
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;
  virtual ~ByteStream() = default;

  // Waits for the next bytes, at least one where `into` has room. 0: the other side has closed the
  // connection in good order.
  virtual base::Result<std::size_t> receive(std::span<std::byte> into) = 0;

  // What was waited for is complete, however short it was: another wait begins.
  virtual void begin_wait() = 0;
};

}  // namespace weighbridge::net
