#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/call.h"
#include "model/ref.h"
#include "sources/source.h"
#include "store/refs.h"
#include "store/store.h"

namespace weighbridge::transfer {

// The store as a Source: what is there is read from it, the rest from the origin. It never puts
// anything into the store.
//
// A Ref that pins what the store has asks the origin nothing. One that resolved here before asks
// only whether its seal, or its file, still is what it was; where it is, the seal and every byte
// come from the store. Blobs are files of this machine to LocalProofs. A blob whose bytes fail
// their proof is hashed, quarantined if it is rotten, and read from the origin from then on.
// Thread-safe.
class StoreSource : public sources::Source {
 public:
  struct Options {
    // Asks the origin nothing, ever: what the Ref last resolved to is what it is. kNotFound for
    // what the store lacks.
    bool offline = false;
    // Learns what is needed to ask cheaply the next time: one request more of an origin that is
    // new.
    bool note_validators = false;
  };

  // `origin`: null for a name in the store. Borrows all for its life. kNotFound: offline, and this
  // Ref never resolved here; or a name that the store does not have.
  static base::Result<std::unique_ptr<StoreSource>> open(store::Store& store,
                                                         sources::Source* origin,
                                                         const model::Ref& ref,
                                                         Options options);

  // The seal that was last given, and what the origin said of it; nothing where there is none.
  struct GivenSeal {
    std::vector<std::byte> bytes;
    model::Validator validator;
  };

  virtual std::optional<GivenSeal> given_seal() const = 0;

 protected:
  StoreSource() = default;
};

}  // namespace weighbridge::transfer
