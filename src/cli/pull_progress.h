#pragma once

#include "cli/progress.h"
#include "transfer/pull.h"

namespace weighbridge::cli {

// How far a pull is, over all and file by file.
inline ProgressSample sample_of(const transfer::PullProgress& progress) {
  ProgressSample sample;
  sample.done_bytes = progress.there_bytes;
  sample.wanted_bytes = progress.bytes;
  // What did not come through the engine was there, or was copied.
  const std::uint64_t proved = progress.transfer.proved_bytes;
  sample.found_bytes = sample.done_bytes > proved ? sample.done_bytes - proved : 0;
  sample.files_done = progress.files_done;
  sample.files = progress.files;
  for (const transfer::PullProgress::OneFile& file : progress.under_way()) {
    sample.under_way.push_back({file.path, file.there_bytes, file.size_bytes});
  }
  return sample;
}

}  // namespace weighbridge::cli
