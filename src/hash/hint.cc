#include "hash/hint.h"

#include <new>

#include <xxhash.h>

#include "base/check.h"

namespace weighbridge::hash {

struct HintHasher::State {
  State() : xxh(XXH3_createState()) {
    if (xxh == nullptr) {
      throw std::bad_alloc();
    }
    reset();
  }

  State(const State&) = delete;
  State& operator=(const State&) = delete;

  ~State() { XXH3_freeState(xxh); }

  void reset() { WB_CHECK(XXH3_128bits_reset(xxh) == XXH_OK, "XXH3 failed"); }

  XXH3_state_t* xxh;
};

HintHasher::HintHasher() : state_(std::make_unique<State>()) {}

HintHasher::HintHasher(HintHasher&&) noexcept = default;
HintHasher& HintHasher::operator=(HintHasher&&) noexcept = default;
HintHasher::~HintHasher() = default;

void HintHasher::update(std::span<const std::byte> bytes) {
  if (bytes.empty()) {
    return;  // xxhash takes no null pointer
  }
  WB_CHECK(XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size()) == XXH_OK, "XXH3 failed");
}

Hint HintHasher::finish() {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state_->xxh));
  state_->reset();
  Hint hint;
  std::size_t i = 0;
  for (const unsigned char byte : canonical.digest) {
    hint.bytes[i++] = std::byte{byte};
  }
  return hint;
}

}  // namespace weighbridge::hash
