#pragma once

#include <memory>
#include <string_view>

#include "cli/command.h"
#include "model/ref.h"
#include "sources/source.h"

namespace weighbridge::cli {

// A reference as it was typed, with its source open.
struct OpenedRef {
  model::Ref ref;
  std::unique_ptr<sources::Source> source;
};

// kInvalid, kUnsupported or kNotFound as Ref::parse and the environment's OpenSource say.
base::Result<OpenedRef> open_ref(const Environment& environment, std::string_view text);

}  // namespace weighbridge::cli
