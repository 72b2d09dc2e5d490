#pragma once

#include <cstdint>
#include <optional>

#include "base/body_source.h"
#include "base/call.h"
#include "base/result.h"
#include "registry/digest.h"

namespace weighbridge::pack {

// The bytes of one blob on their way to a registry: given in order, from any place again, and
// hashed when they are given for the first time. Confined to the thread that uploads them.
class BlobBytes {
 public:
  BlobBytes() = default;
  BlobBytes(const BlobBytes&) = delete;
  BlobBytes& operator=(const BlobBytes&) = delete;
  virtual ~BlobBytes() = default;

  virtual std::uint64_t size() const = 0;

  // Nothing until it is known: from the beginning, or once all has been hashed.
  virtual std::optional<registry::Digest> digest() const = 0;

  // From where next() goes on. What lies before it and has not been hashed is read for that: so
  // seek(size()) hashes what is left.
  virtual base::Result<void> seek(const base::Call& call, std::uint64_t offset) = 0;

  // The next bytes, at least one and at most `most`, valid until the next call.
  virtual base::Result<base::BodyPart> next(const base::Call& call, std::uint64_t most) = 0;

  // After the last byte, before the blob is named: the digest it must have. Fails if what was given
  // is not what it was to be.
  virtual base::Result<registry::Digest> finish(const base::Call& call) = 0;
};

}  // namespace weighbridge::pack
