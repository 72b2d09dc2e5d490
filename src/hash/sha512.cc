#include "hash/sha512.h"

#include <new>

#include <openssl/evp.h>

#include "base/check.h"

namespace weighbridge::hash {

struct Sha512::Context {
  Context() : evp(EVP_MD_CTX_new()) {
    if (evp == nullptr) {
      throw std::bad_alloc();
    }
    WB_CHECK(EVP_DigestInit_ex(evp, EVP_sha512(), nullptr) == 1, "OpenSSL refuses SHA-512");
  }

  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  ~Context() { EVP_MD_CTX_free(evp); }

  EVP_MD_CTX* evp;
};

Sha512::Sha512() : context_(std::make_unique<Context>()) {}

Sha512::Sha512(Sha512&&) noexcept = default;
Sha512& Sha512::operator=(Sha512&&) noexcept = default;
Sha512::~Sha512() = default;

void Sha512::update(std::span<const std::byte> bytes) {
  WB_CHECK(EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size()) == 1, "SHA-512 failed");
}

Sha512Digest Sha512::finish() {
  Sha512Digest digest;
  auto* const out = reinterpret_cast<unsigned char*>(digest.bytes.data());
  WB_CHECK(EVP_DigestFinal_ex(context_->evp, out, nullptr) == 1, "SHA-512 failed");
  return digest;
}

Sha512Digest Sha512::of(std::span<const std::byte> bytes) {
  Sha512 hasher;
  hasher.update(bytes);
  return hasher.finish();
}

}  // namespace weighbridge::hash
