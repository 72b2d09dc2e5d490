#include "store/files.h"

#include <chrono>
#include <utility>

namespace weighbridge::store {

using base::Code;
using base::Error;
using base::Result;

Result<void> remove_if_there(io::FileSystem& files, const std::string& path) {
  auto removed = files.remove(path);
  const bool gone = !removed.ok() && removed.error().code() == Code::kNotFound;
  return gone ? Result<void>() : std::move(removed);
}

Result<void> remove_tree(io::FileSystem& files, const std::string& directory) {
  for (const io::DirectoryEntry& entry : TRY(list_if_there(files, directory))) {
    const std::string path = directory + "/" + entry.name;
    TRY(entry.kind == io::Kind::kDirectory ? remove_tree(files, path)
                                           : remove_if_there(files, path));
  }
  return remove_if_there(files, directory);
}

Result<std::vector<io::DirectoryEntry>> list_if_there(io::FileSystem& files,
                                                      const std::string& path) {
  auto entries = files.list(path);
  if (!entries.ok() && entries.error().code() == Code::kNotFound) {
    return std::vector<io::DirectoryEntry>();
  }
  return entries;
}

Result<void> each_file(io::FileSystem& files,
                       const std::string& directory,
                       const VisitFile& visit) {
  for (const io::DirectoryEntry& entry : TRY(list_if_there(files, directory))) {
    const std::string path = directory + "/" + entry.name;
    if (entry.kind == io::Kind::kDirectory) {
      TRY(each_file(files, path, visit));
    } else if (entry.kind == io::Kind::kFile && !entry.name.starts_with(io::kTemporaryPrefix)) {
      const auto info = files.info(path);
      if (info.ok()) {
        TRY(visit(path, *info));
      } else if (info.error().code() != Code::kNotFound) {
        return info.error().copy();
      }
    }
  }
  return {};
}

Result<void> read_exactly(io::OpenFile& file, std::uint64_t offset, std::span<std::byte> into) {
  while (!into.empty()) {
    const std::size_t got = TRY(file.read_at(offset, into));
    if (got == 0) {
      return Error(Code::kCorrupt, "the file is shorter than it should be").at(offset);
    }
    into = into.subspan(got);
    offset += got;
  }
  return {};
}

Result<void> wait_for_lock(const base::Call& call, io::OpenFile& file, io::Lock kind) {
  constexpr std::chrono::milliseconds kLookAgain{2};
  while (!TRY(file.try_lock(kind))) {
    TRY(call.check());
    call.clock().sleep_until(call.clock().now() + kLookAgain, call.stop());
  }
  return {};
}

}  // namespace weighbridge::store
