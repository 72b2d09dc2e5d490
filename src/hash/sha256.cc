#include "hash/sha256.h"

#include <new>

#include <openssl/evp.h>

#include "base/check.h"

namespace weighbridge::hash {

struct Sha256::Context {
  Context() : evp(EVP_MD_CTX_new()) {
    if (evp == nullptr) {
      throw std::bad_alloc();
    }
    WB_CHECK(EVP_DigestInit_ex(evp, EVP_sha256(), nullptr) == 1, "OpenSSL refuses SHA-256");
  }

  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  ~Context() { EVP_MD_CTX_free(evp); }

  EVP_MD_CTX* evp;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {}

Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::byte> bytes) {
  WB_CHECK(EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size()) == 1, "SHA-256 failed");
}

Sha256Digest Sha256::finish() {
  Sha256Digest digest;
  auto* const out = reinterpret_cast<unsigned char*>(digest.bytes.data());
  WB_CHECK(EVP_DigestFinal_ex(context_->evp, out, nullptr) == 1, "SHA-256 failed");
  return digest;
}

Sha256Digest Sha256::of(std::span<const std::byte> bytes) {
  Sha256 hasher;
  hasher.update(bytes);
  return hasher.finish();
}

}  // namespace weighbridge::hash
