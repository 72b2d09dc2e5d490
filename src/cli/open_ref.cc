#include "cli/open_ref.h"

#include <utility>

namespace weighbridge::cli {

base::Result<OpenedRef> open_ref(const Environment& environment, std::string_view text) {
  model::Ref ref = TRY(model::Ref::parse(text));
  auto source = TRY(environment.open_source(ref));
  return OpenedRef{std::move(ref), std::move(source)};
}

}  // namespace weighbridge::cli
