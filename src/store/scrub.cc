#include "store/scrub.h"

#include <chrono>
#include <utility>

#include "base/units.h"
#include "hash/hash_tree.h"
#include "store/files.h"
#include "store/partial.h"

namespace weighbridge::store {
namespace {

using base::Code;
using base::Result;

// Lets so many bytes pass in a second. Confined.
class Pace {
 public:
  Pace(const base::Call& call, std::optional<std::uint64_t> bytes_per_second)
      : call_(call), bytes_per_second_(bytes_per_second), next_(call.clock().now()) {}

  Result<void> pass(std::uint64_t bytes) {
    TRY(call_.check());
    if (bytes_per_second_) {
      const double seconds = static_cast<double>(bytes) / static_cast<double>(*bytes_per_second_);
      next_ += std::chrono::duration_cast<base::Duration>(std::chrono::duration<double>(seconds));
      call_.clock().sleep_until(next_, call_.stop());
    }
    return {};
  }

 private:
  const base::Call& call_;
  const std::optional<std::uint64_t> bytes_per_second_;
  base::TimePoint next_;
};

// The root of what is really there.
Result<hash::Root> read_root(const BlobFile& blob, Pace& pace) {
  std::vector<std::byte> buffer(hash::kPieceBytes);
  std::vector<hash::ChainingValue> values;
  for (std::uint64_t piece = 0; piece < hash::piece_count(blob.size()); ++piece) {
    TRY(pace.pass(hash::piece_range(piece, blob.size()).size()));
    values.push_back(TRY(hash_piece(blob.file(), piece, blob.size(), buffer)));
  }
  return root_of(values);
}

bool is_the_callers(const base::Error& error) {
  return error.code() == Code::kCancelled || error.code() == Code::kTimedOut;
}

}  // namespace

Result<Scrubbed> scrub(const base::Call& call,
                       Home& home,
                       Space& space,
                       const Blobs& blobs,
                       const ScrubOptions& options) {
  Scrubbed scrubbed;
  Pace pace(call, options.bytes_per_second);
  for (const hash::Root& root : TRY(space.all())) {
    const auto used = home.files().info(home.blob(root));
    const auto blob = blobs.open(call, root);
    if (!used.ok() || !blob.ok()) {
      continue;  // evicted meanwhile
    }
    const auto found = read_root(*blob, pace);
    // To be read by scrub is no use that should keep a blob from eviction.
    static_cast<void>(blob->file().set_used(used->atime_ns));
    if (!found.ok() && is_the_callers(found.error())) {
      return found.error().copy();
    }
    if (found.ok() && *found == root) {
      ++scrubbed.blobs;
      scrubbed.bytes += blob->size();
      continue;
    }
    TRY(space.quarantine(call, root));
    scrubbed.rotten.push_back(root);
  }
  return scrubbed;
}

}  // namespace weighbridge::store
