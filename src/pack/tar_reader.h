#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pack/entry_sink.h"
#include "pack/path_set.h"

namespace weighbridge::pack {

inline constexpr std::uint64_t kMaxTarExtensionBytes = 1024 * 1024;

// Reads a tar archive as its bytes come (ustar, pax, GNU long names) and gives its regular files to
// an EntrySink. Directories count as paths and are not given. Holds no more than one header and its
// extensions. Refused by name: links, devices, pipes, sparse files, what PathSet refuses; headers
// with a wrong checksum, sizes past `limit_bytes`, an archive without its end or with anything but
// zeros behind it. Paths that no seal may list are left out. Confined to one thread.
class TarReader {
 public:
  struct Options {
    std::uint64_t limit_bytes = 0;  // of all files together
    // Told of each path that is left out.
    std::function<void(const std::string& path)> left_out = [](const std::string&) {};
  };

  // `paths` and `sink` outlive the reader.
  TarReader(Options options, PathSet& paths, EntrySink& sink)
      : options_(std::move(options)), paths_(paths), sink_(sink) {}

  // kCorrupt: no tar archive, or a damaged one. kInvalid, kExhausted: a path that PathSet refuses.
  // kUnsupported: an entry that is no file. kExhausted: more bytes than the limit. Or the sink's
  // error. Not called again after a failure.
  base::Result<void> feed(std::span<const std::byte> bytes);
  // kCorrupt if the archive has not ended.
  base::Result<void> finish() const;

 private:
  static constexpr std::size_t kBlockBytes = 512;
  enum class State : std::uint8_t { kHeader, kExtension, kBody, kLeftOut, kPadding, kEnd };
  struct Header;

  std::size_t take_header(std::span<const std::byte> bytes);
  base::Result<void> open_block();
  base::Result<void> open_entry(const Header& header);
  base::Result<void> open_extension(const Header& header);
  base::Result<void> open_directory(const Header& header);
  base::Result<void> open_file(const Header& header);
  base::Result<std::size_t> take_body(std::span<const std::byte> bytes);
  base::Result<void> close_body();
  base::Result<void> close_extension();
  base::Result<void> read_pax(bool global);
  base::Result<void> take_pax(std::string_view key, std::string_view value, bool global);
  // What the entry is called, extensions considered, without a leading "./".
  std::string path_of(const Header& header) const;
  void begin_body(State state, std::uint64_t size);

  const Options options_;
  PathSet& paths_;
  EntrySink& sink_;

  State state_ = State::kHeader;
  std::array<char, kBlockBytes> block_;
  std::size_t block_bytes_ = 0;
  bool zero_block_ = false;       // the block before was all zeros
  std::uint64_t left_ = 0;        // of the body or extension
  std::uint64_t padding_ = 0;     // behind it
  std::uint64_t file_bytes_ = 0;  // of all files so far
  std::size_t entries_ = 0;
  char extension_kind_ = 0;
  std::vector<char> extension_;
  std::optional<std::string> long_path_;  // of the next entry
  std::optional<std::uint64_t> extended_size_;
};

}  // namespace weighbridge::pack
