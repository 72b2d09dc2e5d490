#include "pack/tar_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "formats/seal.h"

namespace weighbridge::pack {
namespace {

using base::Code;
using base::Error;
using base::Result;

Error corrupt(std::string what) {
  return Error(Code::kCorrupt, "the archive is damaged: " + std::move(what));
}

// The text of a field: up to its NUL.
std::string_view text_of(std::string_view field) {
  return field.substr(0, field.find('\0'));
}

// A number as tar writes it: octal digits between spaces and NULs, or, with the highest bit set,
// big-endian.
Result<std::uint64_t> number_of(std::string_view field, std::string_view what) {
  if ((static_cast<unsigned char>(field[0]) & 0x80U) != 0) {
    std::uint64_t value = static_cast<unsigned char>(field[0]) & 0x7FU;
    for (const char c : field.substr(1)) {
      if (value >> 55U != 0) {
        return corrupt(fmt::format("the {} of an entry is no number that can be", what));
      }
      value = value << 8U | static_cast<unsigned char>(c);
    }
    return value;
  }
  const std::string_view digits = base::trim(text_of(field));
  std::uint64_t value = 0;
  for (const char c : digits) {
    if (c < '0' || c > '7') {
      return corrupt(fmt::format("the {} of an entry is no octal number", what));
    }
    value = value << 3U | static_cast<std::uint64_t>(c - '0');  // at most 12 digits: 36 bits
  }
  return value;
}

std::string_view kind_name(char type) {
  switch (type) {
    case '1':
      return "a hard link";
    case '2':
      return "a symbolic link";
    case '3':
    case '4':
      return "a device";
    case '6':
      return "a pipe";
    case 'S':
      return "a sparse file";
    default:
      return "an entry of an unknown kind";
  }
}

std::string_view without_dot(std::string_view path) {
  while (path.starts_with("./")) {
    path.remove_prefix(2);
  }
  return path;
}

bool all_zeros(std::span<const std::byte> bytes) {
  return std::all_of(
      bytes.begin(), bytes.end(), [](std::byte byte) { return byte == std::byte{0}; });
}

}  // namespace

struct TarReader::Header {
  std::string path;
  std::uint64_t size = 0;
  std::uint64_t mode = 0;
  char type = 0;

  static Result<Header> parse(std::string_view block);
};

Result<TarReader::Header> TarReader::Header::parse(std::string_view block) {
  constexpr std::size_t kSumAt = 148;
  constexpr std::size_t kSumBytes = 8;
  std::uint64_t sum = kSumBytes * ' ';
  for (std::size_t i = 0; i < block.size(); ++i) {
    sum += i < kSumAt || i >= kSumAt + kSumBytes ? static_cast<unsigned char>(block[i]) : 0;
  }
  if (TRY(number_of(block.substr(kSumAt, kSumBytes), "checksum")) != sum) {
    return corrupt("the checksum of a header does not match");
  }
  Header header;
  header.path = text_of(block.substr(0, 100));
  header.mode = TRY(number_of(block.substr(100, 8), "mode"));
  header.size = TRY(number_of(block.substr(124, 12), "size"));
  header.type = block[156];
  const std::string_view prefix = text_of(block.substr(345, 155));
  if (block.substr(257, 6) == std::string_view("ustar\0", 6) && !prefix.empty()) {
    header.path = fmt::format("{}/{}", prefix, header.path);
  }
  return header;
}

Result<void> TarReader::feed(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    std::size_t taken = 0;
    switch (state_) {
      case State::kHeader:
        taken = take_header(bytes);
        if (block_bytes_ == kBlockBytes) {
          TRY(open_block());
        }
        break;
      case State::kPadding:
        taken = std::min<std::uint64_t>(padding_, bytes.size());
        padding_ -= taken;
        state_ = padding_ == 0 ? State::kHeader : State::kPadding;
        break;
      case State::kEnd:
        if (!all_zeros(bytes)) {
          return corrupt("there are bytes behind its end");
        }
        taken = bytes.size();
        break;
      default:
        taken = TRY(take_body(bytes));
    }
    bytes = bytes.subspan(taken);
  }
  return {};
}

Result<void> TarReader::finish() const {
  if (state_ == State::kEnd) {
    return {};
  }
  return corrupt("it ends in the middle");
}

std::size_t TarReader::take_header(std::span<const std::byte> bytes) {
  const std::size_t taken = std::min(bytes.size(), kBlockBytes - block_bytes_);
  std::memcpy(block_.data() + block_bytes_, bytes.data(), taken);
  block_bytes_ += taken;
  return taken;
}

Result<void> TarReader::open_block() {
  block_bytes_ = 0;
  if (all_zeros(std::as_bytes(std::span(block_)))) {
    state_ = zero_block_ ? State::kEnd : State::kHeader;
    zero_block_ = true;
    return {};
  }
  if (zero_block_) {
    return corrupt("an entry follows a block of zeros");
  }
  if (++entries_ > 2 * kMaxArtifactFiles) {
    return Error(Code::kExhausted, "the archive has too many entries");
  }
  return open_entry(TRY(Header::parse({block_.data(), block_.size()})));
}

Result<void> TarReader::open_entry(const Header& header) {
  switch (header.type) {
    case 'x':
    case 'g':
    case 'L':
    case 'K':
      return open_extension(header);
    case '5':
      return open_directory(header);
    case '0':
    case '7':
    case '\0':
      return open_file(header);
    default:
      return Error(Code::kUnsupported,
                   fmt::format("'{}' is {}; only files are unpacked",
                               base::printable(path_of(header)),
                               kind_name(header.type)));
  }
}

Result<void> TarReader::open_extension(const Header& header) {
  if (header.size > kMaxTarExtensionBytes) {
    return Error(Code::kExhausted,
                 fmt::format("a header of the archive has {} bytes of extensions; the limit is {}",
                             header.size,
                             kMaxTarExtensionBytes));
  }
  extension_kind_ = header.type;
  extension_.clear();
  begin_body(State::kExtension, header.size);
  return left_ == 0 ? close_body() : Result<void>();
}

Result<void> TarReader::open_directory(const Header& header) {
  std::string path = path_of(header);
  while (path.ends_with('/')) {
    path.pop_back();
  }
  if (header.size != 0 || extended_size_.value_or(0) != 0) {
    return corrupt(fmt::format("the directory '{}' has a body", base::printable(path)));
  }
  long_path_.reset();
  extended_size_.reset();
  if (path.empty() || path == ".") {
    return path_of(header).starts_with('/') ? paths_.add_directory("/") : Result<void>();
  }
  return paths_.add_directory(path);
}

Result<void> TarReader::open_file(const Header& header) {
  Entry entry{.path = path_of(header),
              .size = extended_size_.value_or(header.size),
              .executable = (header.mode & 0100U) != 0};
  long_path_.reset();
  extended_size_.reset();
  TRY(paths_.add_file(entry.path));
  if (entry.size > options_.limit_bytes - file_bytes_) {
    return Error(Code::kExhausted,
                 fmt::format("'{}' has {} bytes; with the files before it these are more than {}",
                             base::printable(entry.path),
                             entry.size,
                             options_.limit_bytes));
  }
  file_bytes_ += entry.size;
  const bool wanted = formats::is_sealable(entry.path);
  if (wanted) {
    TRY(sink_.begin(entry));
  } else {
    options_.left_out(entry.path);
  }
  begin_body(wanted ? State::kBody : State::kLeftOut, entry.size);
  return left_ == 0 ? close_body() : Result<void>();
}

void TarReader::begin_body(State state, std::uint64_t size) {
  state_ = state;
  left_ = size;
  padding_ = (kBlockBytes - size % kBlockBytes) % kBlockBytes;
}

Result<std::size_t> TarReader::take_body(std::span<const std::byte> bytes) {
  const std::size_t taken = std::min<std::uint64_t>(left_, bytes.size());
  if (state_ == State::kBody) {
    TRY(sink_.write(bytes.first(taken)));
  } else if (state_ == State::kExtension) {
    const std::size_t before = extension_.size();
    extension_.resize(before + taken);
    std::memcpy(extension_.data() + before, bytes.data(), taken);
  }
  left_ -= taken;
  if (left_ == 0) {
    TRY(close_body());
  }
  return taken;
}

Result<void> TarReader::close_body() {
  const State closed = state_;
  state_ = padding_ == 0 ? State::kHeader : State::kPadding;
  if (closed == State::kBody) {
    return sink_.end();
  }
  return closed == State::kExtension ? close_extension() : Result<void>();
}

Result<void> TarReader::close_extension() {
  switch (extension_kind_) {
    case 'L':
      long_path_ = text_of({extension_.data(), extension_.size()});
      return {};
    case 'K':  // where a link leads, and links are refused
      return {};
    default:
      return read_pax(extension_kind_ == 'g');
  }
}

// "<length of the record> <key>=<value>\n", one after another.
Result<void> TarReader::read_pax(bool global) {
  std::string_view records(extension_.data(), extension_.size());
  while (!records.empty()) {
    const std::size_t space = records.find(' ');
    const auto length = base::parse_decimal(records.substr(0, std::min(space, records.size())));
    if (!length || *length > records.size() || *length < space + 2 ||
        records[*length - 1] != '\n') {
      return corrupt("an extended header is no list of records");
    }
    const std::string_view record = records.substr(space + 1, *length - space - 2);
    const std::size_t equals = record.find('=');
    if (equals == std::string_view::npos) {
      return corrupt("a record of an extended header has no '='");
    }
    TRY(take_pax(record.substr(0, equals), record.substr(equals + 1), global));
    records.remove_prefix(*length);
  }
  return {};
}

Result<void> TarReader::take_pax(std::string_view key, std::string_view value, bool global) {
  if (key.starts_with("GNU.sparse.")) {
    return Error(Code::kUnsupported,
                 "a file of the archive is sparse; only whole files are unpacked");
  }
  if (key != "path" && key != "size") {
    return {};  // times, owners, attributes: nothing that a Snapshot has
  }
  if (global) {
    return corrupt(fmt::format("one '{}' is given for all entries", key));
  }
  if (key == "path") {
    long_path_ = value;
    return {};
  }
  extended_size_ = base::parse_decimal(value);
  return extended_size_ ? Result<void>() : corrupt("the size of an entry is no number");
}

std::string TarReader::path_of(const Header& header) const {
  return std::string(without_dot(long_path_ ? *long_path_ : header.path));
}

}  // namespace weighbridge::pack
