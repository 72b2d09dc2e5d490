#include "cli/local_directory.h"

#include <optional>
#include <utility>

#include <fmt/format.h>

namespace weighbridge::cli {

using base::Code;
using base::Error;
using base::Result;

Result<OpenedRef> open_local_directory(const Environment& environment,
                                       std::string_view text,
                                       std::string_view done) {
  const model::Ref ref = TRY(model::Ref::parse(text));
  if (ref.scheme() != model::Scheme::kFile) {
    return Error(Code::kInvalid, fmt::format("only a local directory can be {}", done))
        .in_file(ref.printable())
        .with_hint("Name it by its path, on the machine where it lies.");
  }
  return open_ref(environment, text);
}

Result<sources::Listing> listing_of(const base::Call& call,
                                    const OpenedRef& opened,
                                    std::string_view done) {
  const std::string single = TRY(opened.source->single_file(call));
  if (!single.empty()) {
    return Error(Code::kInvalid,
                 fmt::format("only a directory can be {}, and this is a file", done))
        .in_file(opened.ref.printable())
        .with_hint("Name the directory it stands in.");
  }
  auto listing = TRY(opened.source->list(call));
  if (!listing) {
    return Error(Code::kUnsupported, "this directory cannot be listed")
        .in_file(opened.ref.printable());
  }
  if (listing->files.empty() && listing->refused.empty()) {
    return Error(Code::kNotFound, "the directory holds no file").in_file(opened.ref.printable());
  }
  return std::move(*listing);
}

std::string path_in(const OpenedRef& opened, std::string_view name) {
  const std::string& directory = opened.ref.location();
  return fmt::format("{}{}{}", directory, directory.ends_with('/') ? "" : "/", name);
}

}  // namespace weighbridge::cli
