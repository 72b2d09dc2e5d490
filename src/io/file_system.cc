#include "io/file_system.h"

#include <cerrno>
#include <cstdio>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "io/posix.h"

namespace weighbridge::io {
namespace {

using base::Code;
using base::Error;
using base::Result;

Descriptor open_descriptor(const std::string& path, int flags) {
  constexpr mode_t kMode = 0644;
  return Descriptor(uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, kMode); }));
}

Result<std::unique_ptr<OpenFile>> open_file(const std::string& path, int flags) {
  Descriptor descriptor = open_descriptor(path, flags);
  if (!descriptor.valid()) {
    return failure((flags & O_CREAT) != 0 ? "create" : "open", path);
  }
  return make_open_file(std::move(descriptor), path);
}

// Thread-safe: it has no state.
class RealFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<OpenFile>> open(const std::string& path) override {
    // A named pipe would otherwise block here until somebody writes to it.
    return open_file(path, O_RDONLY | O_NONBLOCK);
  }

  Result<std::unique_ptr<OpenFile>> create(const std::string& path) override {
    return open_file(path, O_RDWR | O_CREAT | O_EXCL);
  }

  Result<FileInfo> info(const std::string& path) override {
    struct stat status {};

    if (::stat(path.c_str(), &status) != 0) {
      return failure("examine", path);
    }
    return info_of(status);
  }

  Result<std::vector<DirectoryEntry>> list(const std::string& path) override {
    Descriptor descriptor = open_descriptor(path, O_RDONLY | O_DIRECTORY);
    if (!descriptor.valid()) {
      return failure("list", path);
    }
    return list_entries(std::move(descriptor), path);
  }

  Result<void> rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) {
      return failure("rename " + from + " to", to);
    }
    return {};
  }

  Result<void> remove(const std::string& path) override {
    if (::remove(path.c_str()) != 0) {
      return failure("remove", path);
    }
    return {};
  }

  Result<void> make_directory(const std::string& path) override {
    constexpr mode_t kMode = 0755;
    if (::mkdir(path.c_str(), kMode) != 0) {
      return failure("make directory", path);
    }
    return {};
  }

  Result<void> sync_directory(const std::string& path) override {
    const Descriptor descriptor = open_descriptor(path, O_RDONLY | O_DIRECTORY);
    if (!descriptor.valid() || ::fsync(descriptor.number()) != 0) {
      return failure("sync directory", path);
    }
    return {};
  }

  Result<std::unique_ptr<OpenFile>> open_to_write(const std::string& path,
                                                  Caching caching) override {
    auto file = open_file(path, O_RDWR | (caching == Caching::kBypass ? O_DIRECT : 0));
    if (!file.ok() && caching == Caching::kBypass && errno == EINVAL) {
      errno = EOPNOTSUPP;
      return failure("bypass the page cache for", path);
    }
    return file;
  }

  Result<void> link(const std::string& from, const std::string& to) override {
    if (::link(from.c_str(), to.c_str()) != 0) {
      return failure("link " + from + " as", to);
    }
    return {};
  }

  Result<Volume> volume(const std::string& path) override {
    const Descriptor descriptor = open_descriptor(path, O_PATH);
    if (!descriptor.valid()) {
      return failure("examine the file system of", path);
    }
    return volume_of(descriptor, path);
  }

  Result<void> sync_volume(const std::string& path) override {
    const Descriptor descriptor = open_descriptor(path, O_RDONLY);
    if (!descriptor.valid() || ::syncfs(descriptor.number()) != 0) {
      return failure("sync the file system of", path);
    }
    return {};
  }
};

Error cannot(std::string_view what) {
  return Error(Code::kUnsupported, fmt::format("this file system cannot {}", what));
}

}  // namespace

Result<void> OpenFile::reserve(std::uint64_t /*bytes*/) {
  return cannot("reserve space");
}

Result<void> OpenFile::set_mode(std::uint32_t /*mode*/) {
  return cannot("change modes");
}

Result<void> OpenFile::set_used(std::int64_t /*atime_ns*/) {
  return cannot("note when a file was used");
}

Result<bool> OpenFile::try_lock(Lock /*kind*/) {
  return cannot("lock");
}

Result<void> OpenFile::clone_range(OpenFile& /*from*/,
                                   base::Range /*range*/,
                                   std::uint64_t /*to*/) {
  return cannot("share bytes between files");
}

int OpenFile::descriptor() const {
  return -1;
}

Result<std::unique_ptr<OpenFile>> FileSystem::open_to_write(const std::string& /*path*/,
                                                            Caching /*caching*/) {
  return cannot("open what exists for writing");
}

Result<void> FileSystem::link(const std::string& /*from*/, const std::string& /*to*/) {
  return cannot("link");
}

Result<Volume> FileSystem::volume(const std::string& /*path*/) {
  return cannot("say what it is");
}

Result<void> FileSystem::sync_volume(const std::string& /*path*/) {
  return cannot("sync at once");
}

std::unique_ptr<FileSystem> real_file_system() {
  return std::make_unique<RealFileSystem>();
}

}  // namespace weighbridge::io
