#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "hash/digest.h"

namespace weighbridge::hash {

// XXH3-128 as bytes pass: nearly free, and trusted by nobody (see Hint). Confined to one thread.
class HintHasher {
 public:
  HintHasher();
  HintHasher(HintHasher&&) noexcept;
  HintHasher& operator=(HintHasher&&) noexcept;
  HintHasher(const HintHasher&) = delete;
  HintHasher& operator=(const HintHasher&) = delete;
  ~HintHasher();

  void update(std::span<const std::byte> bytes);
  // Ends it; the next update() begins anew.
  Hint finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace weighbridge::hash
