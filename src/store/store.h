#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/result.h"
#include "io/file_system.h"
#include "store/blobs.h"
#include "store/home.h"
#include "store/proofs.h"
#include "store/refs.h"
#include "store/snapshots.h"
#include "store/space.h"

namespace weighbridge::store {

// All parts of the store in one home, opened together. Thread-safe, as its parts are.
class Store {
 public:
  // As Home::open. Borrows `files` for its life.
  static base::Result<std::unique_ptr<Store>> open(io::FileSystem& files,
                                                   std::string path,
                                                   const SpaceLimits& limits = {}) {
    auto home = TRY(Home::open(files, std::move(path)));
    return std::unique_ptr<Store>(new Store(std::move(home), limits));  // NOLINT: private
  }

  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  Home& home() { return *home_; }

  Space& space() { return space_; }

  Blobs& blobs() { return blobs_; }

  Refs& refs() { return refs_; }

  Snapshots& snapshots() { return snapshots_; }

  Proofs& proofs() { return proofs_; }

 private:
  Store(std::unique_ptr<Home> home, const SpaceLimits& limits)
      : home_(std::move(home)),
        space_(*home_, limits),
        blobs_(*home_, space_),
        refs_(*home_),
        snapshots_(*home_, blobs_),
        proofs_(home_->files(), home_->path()) {}

  const std::unique_ptr<Home> home_;
  Space space_;
  Blobs blobs_;
  Refs refs_;
  Snapshots snapshots_;
  Proofs proofs_;
};

}  // namespace weighbridge::store
