#include "model/proof.h"

#include "base/check.h"

namespace weighbridge::model {

std::string_view name_of(Trust trust) {
  switch (trust) {
    case Trust::kNone:
      return "none";
    case Trust::kFirstSeen:
      return "first_seen";
    case Trust::kOrigin:
      return "origin";
    case Trust::kPinned:
      return "pinned";
  }
  base::check_failed("trust", __FILE__, __LINE__, "not a Trust");
}

}  // namespace weighbridge::model
