#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "cli/command.h"
#include "model/ref.h"
#include "sources/source.h"

namespace weighbridge::cli {

// A reference as it was typed, with its source open.
struct OpenedRef {
  model::Ref ref;
  // What `source` stands on, if that is not all there is.
  std::unique_ptr<store::Store> store;
  std::unique_ptr<sources::Source> origin;
  std::unique_ptr<sources::Source> source;
};

// kInvalid, kUnsupported or kNotFound as Ref::parse and the environment's OpenSource say.
base::Result<OpenedRef> open_ref(const Environment& environment, std::string_view text);

// The source that `pull` copies from. Where files stand in archives of an artifact, they have been
// unpacked when this returns, below `home`, and stay there as long as the source.
base::Result<std::unique_ptr<sources::Source>> open_to_pull(const base::Call& call,
                                                            const Environment& environment,
                                                            Style style,
                                                            const model::Ref& ref,
                                                            const std::string& home);

// The flag --offline of the commands that read a model.
void declare_offline(CLI::App& app, bool& offline);

// The same, reading from the store what that has. `offline`: nobody is asked for anything, and
// kNotFound says that the store does not know this reference. Paths are read where they are.
base::Result<OpenedRef> open_ref_through_store(const Environment& environment,
                                               std::string_view text,
                                               bool offline);

}  // namespace weighbridge::cli
