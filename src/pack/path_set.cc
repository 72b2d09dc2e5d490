#include "pack/path_set.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "model/snapshot.h"

namespace weighbridge::pack {
namespace {

using base::Code;
using base::Error;
using base::Result;

Result<void> check_path(std::string_view path) {
  if (!model::is_snapshot_path(path)) {
    return Error(Code::kInvalid,
                 fmt::format("'{}' is not a path below the model's directory "
                             "(absolute, empty, '..', a backslash or a control character)",
                             base::printable(path)));
  }
  if (static_cast<std::size_t>(std::count(path.begin(), path.end(), '/')) >= kMaxPathParts) {
    return Error(Code::kInvalid,
                 fmt::format("'{}' has more than {} parts", base::printable(path), kMaxPathParts));
  }
  return {};
}

Error clash(std::string_view path, std::string_view there, bool is_file) {
  const std::string name = base::printable(path);
  if (path != there) {
    return Error(
        Code::kInvalid,
        fmt::format(
            "'{}' and '{}' differ only in the case of letters", base::printable(there), name));
  }
  return Error(Code::kInvalid,
               is_file ? fmt::format("'{}' stands there twice", name)
                       : fmt::format("'{}' is both a file and a directory", name));
}

}  // namespace

Result<void> PathSet::add_file(std::string_view path) {
  TRY(check_path(path));
  if (file_count_ >= kMaxArtifactFiles) {
    return Error(Code::kExhausted, fmt::format("more than {} files", kMaxArtifactFiles));
  }
  TRY(add_parents(path));
  TRY(add(path, true));
  ++file_count_;
  return {};
}

Result<void> PathSet::add_directory(std::string_view path) {
  TRY(check_path(path));
  TRY(add_parents(path));
  return add(path, false);
}

Result<void> PathSet::add_parents(std::string_view path) {
  for (std::size_t slash = path.find('/'); slash != std::string_view::npos;
       slash = path.find('/', slash + 1)) {
    TRY(add(path.substr(0, slash), false));
  }
  return {};
}

Result<void> PathSet::add(std::string_view path, bool is_file) {
  std::string folded = base::to_lower(path);
  const auto there = places_.find(folded);
  if (there != places_.end()) {
    const Place& place = there->second;
    if (place.path != path || is_file || place.is_file) {
      return clash(path, place.path, is_file && place.is_file);
    }
    return {};
  }
  if (2 * path.size() > kMaxPathBytes - held_bytes_) {
    return Error(Code::kExhausted,
                 fmt::format("the paths of all files are longer than {} bytes", kMaxPathBytes));
  }
  held_bytes_ += 2 * path.size();
  places_.emplace(std::move(folded), Place{std::string(path), is_file});
  return {};
}

}  // namespace weighbridge::pack
