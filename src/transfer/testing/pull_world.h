#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/call.h"
#include "formats/seal.h"
#include "io/file_system.h"
#include "model/ref.h"
#include "sources/testing/fake_source.h"
#include "store/store.h"
#include "testing/faulty_file_system.h"
#include "testing/manual_clock.h"
#include "testing/scratch_directory.h"
#include "transfer/pull.h"

namespace weighbridge::transfer::testing {

using sources::testing::Bytes;

// What `bytes` would be sealed as; hints of `hinted` ranges.
formats::SealedFile seal_file(const std::string& path,
                              const Bytes& bytes,
                              const std::vector<base::Range>& hinted = {});

// An origin in memory, and a store on a disk that fails when told to. Confined to a test.
struct PullWorld {
  // Three files of 12 MiB and a bit, sealed.
  void serve_model();
  // Seals what the origin has, with another entity tag each time.
  void seal();
  std::unique_ptr<store::Store> open_store();
  // As another process would: nothing is remembered but by the store.
  base::Result<Pulled> pull(const PullOptions& options = {});
  Bytes read(const std::string& path) const;
  // Does every file of the origin stand in the directory as it is?
  bool is_whole(const Pulled& pulled) const;

  const weighbridge::testing::ScratchDirectory scratch;
  const std::unique_ptr<io::FileSystem> real = io::real_file_system();
  weighbridge::testing::FaultyFileSystem disk{*real};
  const weighbridge::testing::ManualClock clock{
      weighbridge::testing::ManualClock::Waits::kJumpToTheirEnd};
  base::Call call{clock};
  const std::string home = scratch / "home";
  sources::testing::FakeSource origin;
  model::Ref ref = model::Ref::parse("https://host/model/").value();
  store::SpaceLimits limits;

 private:
  int seals_ = 0;
};

}  // namespace weighbridge::transfer::testing
