#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "hash/digest.h"

namespace weighbridge::hash {

// SHA-512 of a whole file (FIPS 180-4): content in registries may be named by it.
using Sha512Digest = DigestOf<struct Sha512Kind, 64>;

// SHA-512 as bytes pass (OpenSSL). Confined to one thread.
class Sha512 {
 public:
  Sha512();
  Sha512(Sha512&&) noexcept;
  Sha512& operator=(Sha512&&) noexcept;
  Sha512(const Sha512&) = delete;
  Sha512& operator=(const Sha512&) = delete;
  ~Sha512();

  void update(std::span<const std::byte> bytes);
  // Ends it; call once.
  Sha512Digest finish();

  static Sha512Digest of(std::span<const std::byte> bytes);

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace weighbridge::hash
