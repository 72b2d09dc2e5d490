#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pack/decompress.h"
#include "pack/entry_sink.h"
#include "registry/manifest.h"

namespace weighbridge::pack::testing {

// One entry of a tar archive, whatever it may be; what is not said is as in a plain file.
struct TarEntry {
  std::string path;
  std::string body = {};
  char type = '0';
  std::uint64_t mode = 0644;
  std::string link = {};
  // Of the header, where that is to lie about the body.
  std::string size_field = {};  // 12 bytes as they stand there
  bool break_checksum = false;
};

std::string tar_of(const std::vector<TarEntry>& entries);
// One header and its body, padded, without the end of the archive.
std::string tar_entry(const TarEntry& entry);
// A pax header for the entry that follows.
std::string pax(const std::vector<std::pair<std::string, std::string>>& records, char type = 'x');
// The two blocks of zeros.
std::string tar_end();

std::string gzip(std::string_view bytes);
std::string zstd(std::string_view bytes, int window_log = 0);

// `count` bytes that do not compress, from a fixed seed.
std::string noise(std::size_t count, std::uint64_t seed = 1);

std::span<const std::byte> bytes_of(std::string_view text);

// Keeps files in memory. Confined.
class MemoryEntries final : public EntrySink {
 public:
  base::Result<void> begin(const Entry& entry) override;
  base::Result<void> write(std::span<const std::byte> bytes) override;
  base::Result<void> end() override;

  std::map<std::string, std::string> files;
  std::map<std::string, bool> executable;

 private:
  Entry open_;
};

}  // namespace weighbridge::pack::testing
