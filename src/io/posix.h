#pragma once

#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/result.h"
#include "io/file_system.h"

namespace weighbridge::io {

// What the file systems of this folder are made of: system calls, and what they mean here.

// "cannot open /a/b: No such file or directory", from errno.
base::Error failure(std::string_view doing, const std::string& path);

// Runs a system call again while signals interrupt it.
template <typename SystemCall>
auto uninterrupted(SystemCall&& system_call) {
  for (;;) {
    const auto result = system_call();
    if (result != -1 || errno != EINTR) {
      return result;
    }
  }
}

// Closed when it goes, so that no early return leaks it. Confined to its owner.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}

  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}

  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }

  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  ~Descriptor() {
    if (number_ >= 0) {
      ::close(number_);
    }
  }

  bool valid() const { return number_ >= 0; }

  int number() const { return number_; }

  int release() { return std::exchange(number_, -1); }

 private:
  int number_;
};

FileInfo info_of(const struct stat& status);

// Errors of the file are about `path`.
std::unique_ptr<OpenFile> make_open_file(Descriptor descriptor, std::string path);

// The entries of an open directory, which it takes.
base::Result<std::vector<DirectoryEntry>> list_entries(Descriptor directory,
                                                       const std::string& path);

// What an open file or directory stands on.
base::Result<Volume> volume_of(const Descriptor& descriptor, const std::string& path);

}  // namespace weighbridge::io
