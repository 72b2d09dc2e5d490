#include "cli/tensor_digests.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <optional>
#include <thread>
#include <utility>

#include "base/units.h"
#include "hash/sha256.h"
#include "sync/guarded.h"

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

TensorDigest describe(const base::Call& call, const loader::Tensor& tensor) {
  const auto shape = tensor.shape();
  return {std::string(tensor.name()),
          tensor.dtype(),
          {shape.begin(), shape.end()},
          tensor.bytes().size(),
          digest_of(call, tensor.bytes())};
}

// Runs `work` in kThreads threads, of which this is one.
template <typename Work>
void in_parallel(const Work& work) {
  std::vector<std::jthread> helpers;
  for (std::size_t i = 1; i < kThreads; ++i) {
    helpers.emplace_back(work);
  }
  work();
}

}  // namespace

base::Result<std::vector<TensorDigest>> tensor_digests(const base::Call& call,
                                                       std::span<const loader::Tensor> tensors) {
  std::vector<TensorDigest> digests(tensors.size());
  std::atomic<std::size_t> next = 0;
  in_parallel([&] {
    for (std::size_t i = next++; i < tensors.size() && call.check().ok(); i = next++) {
      digests[i] = describe(call, tensors[i]);
    }
  });
  TRY(call.check());  // else some are missing, or of a part
  std::ranges::sort(digests, {}, &TensorDigest::name);
  return digests;
}

base::Result<std::vector<TensorDigest>> streamed_digests(const base::Call& call,
                                                         loader::Loader& loader) {
  sync::Guarded<std::vector<TensorDigest>> guarded;
  sync::Guarded<std::optional<base::Error>> failure;
  in_parallel([&] {
    for (;;) {
      auto tensor = loader.next(call);
      if (!tensor.ok()) {
        failure.with([&](auto& first) { first = std::move(tensor).error(); });
        return;
      }
      if (!*tensor) {
        return;
      }
      TensorDigest digest = describe(call, **tensor);
      guarded.with([&](auto& digests) { digests.push_back(std::move(digest)); });
    }
  });
  TRY(call.check());
  auto error = failure.with([](auto& first) { return std::exchange(first, {}); });
  if (error) {
    return std::move(*error);
  }
  auto digests = guarded.with([](auto& all) { return std::move(all); });
  std::ranges::sort(digests, {}, &TensorDigest::name);
  return digests;
}

}  // namespace weighbridge::cli
