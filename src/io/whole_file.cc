// The two things done with whole files, over any file system.

#include <algorithm>
#include <atomic>
#include <string_view>

#include <unistd.h>

#include <fmt/format.h>

#include "base/units.h"
#include "io/file_system.h"

namespace weighbridge::io {
namespace {

using base::Code;
using base::Error;
using base::Result;

// Of "model/weights": "model/" and "weights".
struct PathParts {
  std::string_view directory;  // with its slash; empty if the path has none
  std::string_view name;
};

PathParts parts_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  const std::size_t begin = slash == std::string_view::npos ? 0 : slash + 1;
  return {path.substr(0, begin), path.substr(begin)};
}

// Begins as names that are never sealed do, so that what a crash leaves behind becomes no file of a
// model. Unique among the threads of this process and its siblings; what a crashed process with the
// same number left behind is passed over by create(), which takes no existing name.
std::string temporary_name(const std::string& path) {
  static std::atomic<std::uint64_t> counter = 0;
  const PathParts parts = parts_of(path);
  return fmt::format(
      "{}{}{}-{}-{}", parts.directory, kTemporaryPrefix, parts.name, ::getpid(), counter++);
}

struct Temporary {
  std::string path;
  std::unique_ptr<OpenFile> file;
};

Result<Temporary> create_temporary(FileSystem& files, const std::string& path) {
  constexpr int kMaxNames = 100;
  for (int tries = 1;; ++tries) {
    std::string name = temporary_name(path);
    auto file = files.create(name);
    if (file.ok()) {
      return Temporary{std::move(name), std::move(file).value()};
    }
    if (file.error().code() != Code::kExists || tries == kMaxNames) {
      return std::move(file).error();
    }
  }
}

std::string directory_of(const std::string& path) {
  std::string_view directory = parts_of(path).directory;
  if (directory.size() > 1) {
    directory.remove_suffix(1);
  }
  return directory.empty() ? "." : std::string(directory);
}

Result<void> fill_and_rename(FileSystem& files,
                             const Temporary& temporary,
                             const std::string& path,
                             std::span<const std::byte> bytes) {
  TRY(temporary.file->write_at(0, bytes));
  TRY(temporary.file->sync());
  return files.rename(temporary.path, path);
}

}  // namespace

Result<void> write_file_atomically(FileSystem& files,
                                   const std::string& path,
                                   std::span<const std::byte> bytes) {
  const Temporary temporary = TRY(create_temporary(files, path));
  auto done = fill_and_rename(files, temporary, path, bytes);
  if (!done.ok()) {
    // The first error is the one to tell; where removing fails too, nothing better can be done.
    static_cast<void>(files.remove(temporary.path));
    return done;
  }
  return files.sync_directory(directory_of(path));
}

Result<std::vector<std::byte>> read_file(FileSystem& files,
                                         const std::string& path,
                                         std::uint64_t limit_bytes) {
  const std::unique_ptr<OpenFile> file = TRY(files.open(path));
  const FileInfo info = TRY(file->info());
  const auto too_long = [&] {
    return Error(Code::kExhausted,
                 fmt::format("{} is longer than {}", path, base::format_bytes(limit_bytes)))
        .in_file(path);
  };
  if (info.size > limit_bytes) {
    return too_long();
  }
  // One byte more than it should have, so that its end is seen and growth is noticed.
  std::vector<std::byte> bytes(info.size + 1);
  std::size_t filled = 0;
  for (;;) {
    const std::size_t got = TRY(file->read_at(filled, std::span(bytes).subspan(filled)));
    filled += got;
    if (got == 0) {
      bytes.resize(filled);
      return bytes;
    }
    if (filled > limit_bytes) {
      return too_long();
    }
    if (filled == bytes.size()) {
      bytes.resize(bytes.size() * 2);
    }
  }
}

}  // namespace weighbridge::io
