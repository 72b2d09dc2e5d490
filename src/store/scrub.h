#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "hash/digest.h"
#include "store/adopted.h"
#include "store/blobs.h"
#include "store/home.h"
#include "store/space.h"

namespace weighbridge::store {

struct ScrubOptions {
  std::optional<std::uint64_t> bytes_per_second = {};  // as fast as it goes, if absent
  std::function<void(std::uint64_t bytes)> read = {};  // told, if given, of what is about to be
};

struct Scrubbed {
  std::uint64_t blobs = 0;  // that were read whole
  std::uint64_t bytes = 0;
  std::vector<hash::Root> rotten;  // now in quarantine: to be fetched again
};

// Reads every blob again and proves it by its name. What is not what it was goes to quarantine/
// with all its names inside home, leased or not: its readers have wrong bytes already. A blob that
// cannot be read is rotten too. What is evicted meanwhile is passed over. Confined to its caller;
// safe beside other processes on one home.
base::Result<Scrubbed> scrub(const base::Call& call,
                             Home& home,
                             Space& space,
                             const Blobs& blobs,
                             const ScrubOptions& options);

struct AdoptedScrub {
  std::uint64_t files = 0;  // that were read whole, and are what they were
  std::uint64_t bytes = 0;
  std::vector<std::string> withdrawn;  // full paths: they are other files now, or hold other bytes
  std::vector<std::string> unreachable;  // not there just now, or not to be read
};

// The same of the files of adopted directories: what is not what it was is withdrawn.
base::Result<AdoptedScrub> scrub_adopted(const base::Call& call,
                                         Adopted& adopted,
                                         io::FileSystem& files,
                                         const ScrubOptions& options);

}  // namespace weighbridge::store
