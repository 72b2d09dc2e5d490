#include "cli/tensor_digests.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>

#include "base/units.h"
#include "hash/sha256.h"

namespace weighbridge::cli {
namespace {

constexpr std::size_t kThreads = 2;
// A stop request is noticed within this much of a large tensor.
constexpr std::size_t kStepBytes = 64 * base::kMiB;

hash::Sha256Digest digest_of(const base::Call& call, std::span<const std::byte> bytes) {
  hash::Sha256 sha256;
  while (!bytes.empty() && call.check().ok()) {
    const auto step = bytes.first(std::min(bytes.size(), kStepBytes));
    sha256.update(step);
    bytes = bytes.subspan(step.size());
  }
  return sha256.finish();
}

}  // namespace

base::Result<std::vector<hash::Sha256Digest>> tensor_digests(
    const base::Call& call, std::span<const loader::Tensor> tensors) {
  std::vector<hash::Sha256Digest> digests(tensors.size());
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < tensors.size() && call.check().ok(); i = next++) {
      digests[i] = digest_of(call, tensors[i].bytes());
    }
  };
  {
    std::vector<std::jthread> helpers;
    for (std::size_t i = 1; i < kThreads; ++i) {
      helpers.emplace_back(work);
    }
    work();
  }
  TRY(call.check());  // else some are missing, or of a part
  return digests;
}

}  // namespace weighbridge::cli
