#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"

namespace weighbridge::base {

// Where one body lands, from a socket or a file, in order. The giver writes into window() and
// says how much with landed(); the receiver hashes those bytes then and there, while they are in
// the cache. Confined to the thread that delivers the body.
class BodySink {
 public:
  BodySink() = default;
  BodySink(const BodySink&) = delete;
  BodySink& operator=(const BodySink&) = delete;
  virtual ~BodySink() = default;

  // Memory for the next bytes: their final place wherever possible. Empty when the sink has all it
  // wants; a giver that has more then stops reading (or, if the body was promised to be shorter,
  // reports it as too long).
  virtual std::span<std::byte> window() = 0;

  // The first `bytes` of the last window() now hold the next bytes of the body.
  // An error ends the body; the giver returns it as it is.
  virtual Result<void> landed(std::size_t bytes) = 0;
};

}  // namespace weighbridge::base
