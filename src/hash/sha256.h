#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "hash/digest.h"

namespace weighbridge::hash {

// SHA-256 as bytes pass (OpenSSL; SHA-NI where the CPU has it). Confined to one thread.
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  ~Sha256();

  void update(std::span<const std::byte> bytes);
  // Ends it; call once.
  Sha256Digest finish();

  static Sha256Digest of(std::span<const std::byte> bytes);

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace weighbridge::hash
