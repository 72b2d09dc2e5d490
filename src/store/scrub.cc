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
  Pace(const base::Call& call, const ScrubOptions& options)
      : call_(call), options_(options), next_(call.clock().now()) {}

  Result<void> pass(std::uint64_t bytes) {
    TRY(call_.check());
    if (options_.read) {
      options_.read(bytes);
    }
    if (options_.bytes_per_second) {
      const double seconds =
          static_cast<double>(bytes) / static_cast<double>(*options_.bytes_per_second);
      next_ += std::chrono::duration_cast<base::Duration>(std::chrono::duration<double>(seconds));
      call_.clock().sleep_until(next_, call_.stop());
    }
    return {};
  }

 private:
  const base::Call& call_;
  const ScrubOptions& options_;
  base::TimePoint next_;
};

// The root of what is really there.
Result<hash::Root> read_root(io::OpenFile& file, std::uint64_t size, Pace& pace) {
  std::vector<std::byte> buffer(hash::kPieceBytes);
  std::vector<hash::ChainingValue> values;
  for (std::uint64_t piece = 0; piece < hash::piece_count(size); ++piece) {
    TRY(pace.pass(hash::piece_range(piece, size).size()));
    values.push_back(TRY(hash_piece(file, piece, size, buffer)));
  }
  return root_of(values);
}

bool is_the_callers(const base::Error& error) {
  return error.code() == Code::kCancelled || error.code() == Code::kTimedOut;
}

// What became of a file of an adopted directory.
enum class Found : std::uint8_t { kSame, kOther, kUnreachable };

Result<Found> look_at(io::FileSystem& files,
                      const std::string& path,
                      const AdoptedFile& file,
                      Pace& pace) {
  const auto opened = files.open(path);
  if (!opened.ok()) {
    return Found::kUnreachable;
  }
  if (!file.is(TRY((*opened)->info()))) {
    return Found::kOther;
  }
  const auto root = read_root(**opened, file.size, pace);
  if (!root.ok() && root.error().code() != Code::kCorrupt) {
    return is_the_callers(root.error()) ? root.error().copy() : Result<Found>(Found::kUnreachable);
  }
  return root.ok() && *root == file.root ? Found::kSame : Found::kOther;
}

}  // namespace

Result<Scrubbed> scrub(const base::Call& call,
                       Home& home,
                       Space& space,
                       const Blobs& blobs,
                       const ScrubOptions& options) {
  Scrubbed scrubbed;
  Pace pace(call, options);
  for (const hash::Root& root : TRY(space.all())) {
    const auto used = home.files().info(home.blob(root));
    const auto blob = blobs.open(call, root);
    if (!used.ok() || !blob.ok()) {
      continue;  // evicted meanwhile
    }
    const auto found = read_root(blob->file(), blob->size(), pace);
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

Result<AdoptedScrub> scrub_adopted(const base::Call& call,
                                   Adopted& adopted,
                                   io::FileSystem& files,
                                   const ScrubOptions& options) {
  AdoptedScrub scrubbed;
  Pace pace(call, options);
  for (const AdoptedDirectory& one : TRY(adopted.all())) {
    for (const AdoptedFile& file : one.files) {
      if (file.withdrawn) {
        continue;
      }
      const std::string path = adopted_path(one.directory, file.path);
      switch (TRY(look_at(files, path, file, pace))) {
        case Found::kSame:
          ++scrubbed.files;
          scrubbed.bytes += file.size;
          break;
        case Found::kOther:
          TRY(adopted.withdraw(one.directory, file.path));
          scrubbed.withdrawn.push_back(path);
          break;
        case Found::kUnreachable:
          scrubbed.unreachable.push_back(path);
      }
    }
  }
  return scrubbed;
}

}  // namespace weighbridge::store
