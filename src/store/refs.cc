#include "store/refs.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "formats/seal.h"
#include "hash/hash_tree.h"
#include "hash/sha256.h"
#include "store/files.h"

namespace weighbridge::store {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr std::string_view kNone = "-";
constexpr std::string_view kFirstLine = "weighbridge ref 1\n";
constexpr std::string_view kInValues = "._-/:\"";
constexpr std::string_view kInNames = "._-";
constexpr std::uint64_t kMaxPinBytes = 256;

bool is_plain(char c, std::string_view others) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         others.find(c) != std::string_view::npos;
}

std::string escape(std::string_view text, std::string_view others) {
  std::string escaped;
  for (const char c : text) {
    if (is_plain(c, others)) {
      escaped += c;
    } else {
      escaped += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return escaped;
}

// A value of a record: empty is "-", hence "-" is escaped.
std::string value_of(std::string_view text) {
  if (text.empty()) {
    return std::string(kNone);
  }
  return text == kNone ? "%2D" : escape(text, kInValues);
}

Error malformed(std::string_view what) {
  return Error(Code::kCorrupt, fmt::format("a record of a reference is damaged: {}", what));
}

// Only what value_of() gives.
Result<std::string> text_of(std::string_view value) {
  if (value.empty()) {
    return malformed("a value is missing");
  }
  std::string text;
  for (std::size_t at = 0; at < value.size(); ++at) {
    if (value[at] != '%') {
      text += value[at];
      continue;
    }
    std::array<std::byte, 1> byte{};
    if (!base::from_hex(value.substr(at + 1, 2), byte)) {
      return malformed("an escape is malformed");
    }
    text += static_cast<char>(byte[0]);
    at += 2;
  }
  if (value == kNone) {
    text.clear();
  }
  if (value_of(text) != value) {
    return malformed("a value is not as it is written");
  }
  return text;
}

template <typename Digest>
std::string value_of(const std::optional<Digest>& digest) {
  return digest ? digest->hex() : std::string(kNone);
}

template <typename Digest>
Result<std::optional<Digest>> digest_of(std::string_view value) {
  if (value == kNone) {
    return std::optional<Digest>();
  }
  auto digest = Digest::from_hex(value);
  return digest ? Result<std::optional<Digest>>(digest) : malformed("a digest is malformed");
}

Result<std::uint64_t> number_of(std::string_view value) {
  const auto number = base::parse_decimal(value);
  if (!number || fmt::format("{}", *number) != value) {
    return malformed("a number is malformed");
  }
  return *number;
}

Result<model::Trust> trust_of(std::string_view value) {
  for (const model::Trust trust : {model::Trust::kNone,
                                   model::Trust::kFirstSeen,
                                   model::Trust::kOrigin,
                                   model::Trust::kPinned}) {
    if (model::name_of(trust) == value) {
      return trust;
    }
  }
  return malformed("the trust is unknown");
}

std::string sum_line(std::string_view text) {
  return fmt::format("sum {}\n", hash::hash_bytes(std::as_bytes(std::span(text))).hex());
}

// Reads lines `<key> <value...>\n` from front to back. Confined; borrows the text.
class Lines {
 public:
  explicit Lines(std::string_view text) : text_(text) {}

  bool starts_with(std::string_view key) const {
    return text_.starts_with(key) && text_.substr(key.size()).starts_with(' ');
  }

  Result<std::string_view> take(std::string_view key) {
    const std::size_t end = text_.find('\n');
    if (!starts_with(key) || end == std::string_view::npos) {
      return malformed(fmt::format("the line '{}' is missing", key));
    }
    const std::string_view value = text_.substr(key.size() + 1, end - key.size() - 1);
    text_.remove_prefix(end + 1);
    return value;
  }

  bool done() const { return text_.empty(); }

 private:
  std::string_view text_;
};

Result<RefRecord::Noted> noted_of(std::string_view line) {
  const std::vector<std::string_view> parts = base::split(line, ' ');
  constexpr std::size_t kParts = 4;
  if (parts.size() != kParts) {
    return malformed("a line of a file");
  }
  RefRecord::Noted noted;
  noted.size = TRY(number_of(parts[0]));
  noted.validator.etag = TRY(text_of(parts[1]));
  noted.validator.last_modified = TRY(text_of(parts[2]));
  noted.path = TRY(text_of(parts[3]));
  return noted;
}

Result<void> check_paths(std::span<const RefRecord::Noted> files) {
  std::string_view before;
  for (const RefRecord::Noted& file : files) {
    if (!model::is_snapshot_path(file.path) || file.path <= before) {
      return Error(Code::kInvalid, "paths of a record that are not allowed or not in order");
    }
    before = file.path;
  }
  return {};
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::optional<hash::Root> pin_of(std::span<const std::byte> bytes) {
  const std::string text = text_of(bytes);
  return text.ends_with('\n')
             ? hash::Root::from_hex(std::string_view(text).substr(0, text.size() - 1))
             : std::nullopt;
}

}  // namespace

Result<std::vector<std::byte>> write_ref(const RefRecord& record) {
  TRY(check_paths(record.files));
  std::string text(kFirstLine);
  text += fmt::format("ref {}\n", value_of(std::string_view(record.ref)));
  text += fmt::format("content {}\n", value_of(record.content_id));
  text += fmt::format("seal {}\n", value_of(record.seal_sha256));
  text += fmt::format("trust {}\n", model::name_of(record.trust));
  text += fmt::format("resolved {}\n", record.resolved_s);
  for (const RefRecord::Noted& file : record.files) {
    text += fmt::format("file {} {} {} {}\n",
                        file.size,
                        value_of(std::string_view(file.validator.etag)),
                        value_of(std::string_view(file.validator.last_modified)),
                        value_of(std::string_view(file.path)));
  }
  text += sum_line(text);
  const auto bytes = std::as_bytes(std::span(text));
  return std::vector<std::byte>(bytes.begin(), bytes.end());
}

Result<RefRecord> parse_ref(std::span<const std::byte> bytes) {
  const std::string whole = text_of(bytes);
  const std::size_t sum_at = whole.rfind("sum ");
  if (!whole.starts_with(kFirstLine) || sum_at == std::string::npos ||
      whole.substr(sum_at) != sum_line(whole.substr(0, sum_at))) {
    return malformed("it is none, or its sum is another");
  }
  Lines lines(std::string_view(whole).substr(kFirstLine.size(), sum_at - kFirstLine.size()));
  RefRecord record;
  record.ref = TRY(text_of(TRY(lines.take("ref"))));
  record.content_id = TRY(digest_of<hash::Root>(TRY(lines.take("content"))));
  record.seal_sha256 = TRY(digest_of<hash::Sha256Digest>(TRY(lines.take("seal"))));
  record.trust = TRY(trust_of(TRY(lines.take("trust"))));
  record.resolved_s = TRY(number_of(TRY(lines.take("resolved"))));
  while (lines.starts_with("file")) {
    record.files.push_back(TRY(noted_of(TRY(lines.take("file")))));
  }
  if (!lines.done() || !check_paths(record.files).ok()) {
    return malformed("its files");
  }
  return record;
}

std::string ref_file_name(const model::Ref& ref) {
  constexpr std::size_t kMaxNameBytes = 160;
  constexpr std::size_t kDigits = 16;
  const std::string printable = ref.printable();
  std::string name = escape(printable, kInNames);
  if (name.starts_with('.')) {
    name.replace(0, 1, "%2E");
  }
  if (name.size() > kMaxNameBytes || printable != ref.text()) {
    name.resize(std::min(name.size(), kMaxNameBytes));
    const std::string& text = ref.text();
    const std::string digest = hash::hash_bytes(std::as_bytes(std::span(text))).hex();
    name.append(1, '~').append(digest, 0, kDigits);
  }
  return name;
}

Result<void> Refs::write(std::string_view directory,
                         const std::string& name,
                         std::span<const std::byte> bytes) {
  TRY(home_.make_directory(std::string(directory)));
  return io::write_file_atomically(home_.files(), home_.in(directory, name), bytes);
}

Result<void> Refs::put(const model::Ref& ref, const RefRecord& record) {
  return write("refs", ref_file_name(ref), TRY(write_ref(record)));
}

Result<std::optional<RefRecord>> Refs::find(const model::Ref& ref) const {
  const auto bytes =
      io::read_file(home_.files(), home_.in("refs", ref_file_name(ref)), kMaxRefRecordBytes);
  if (!bytes.ok()) {
    return bytes.error().code() == Code::kNotFound ? Result<std::optional<RefRecord>>(std::nullopt)
                                                   : bytes.error().copy();
  }
  auto record = parse_ref(*bytes);
  return record.ok() ? std::optional(std::move(record).value()) : std::nullopt;
}

Result<std::vector<RefRecord>> Refs::all() const {
  std::vector<RefRecord> records;
  const auto read = [&](const std::string& path, const io::FileInfo&) -> Result<void> {
    const auto bytes = TRY(io::read_file(home_.files(), path, kMaxRefRecordBytes));
    auto record = parse_ref(bytes);
    if (record.ok()) {
      records.push_back(std::move(record).value());
    }
    return {};
  };
  TRY(each_file(home_.files(), home_.path() + "/refs", read));
  std::ranges::sort(records, {}, &RefRecord::ref);
  return records;
}

Result<void> Refs::remove(const model::Ref& ref) {
  return remove_if_there(home_.files(), home_.in("refs", ref_file_name(ref)));
}

Result<void> Refs::pin(const model::Ref& ref, const hash::Root& content_id) {
  const std::string text = content_id.hex() + "\n";
  return write("pins", ref_file_name(ref), std::as_bytes(std::span(text)));
}

Result<void> Refs::unpin(const model::Ref& ref) {
  return remove_if_there(home_.files(), home_.in("pins", ref_file_name(ref)));
}

Result<std::optional<hash::Root>> Refs::pinned(const model::Ref& ref) const {
  const auto bytes =
      io::read_file(home_.files(), home_.in("pins", ref_file_name(ref)), kMaxPinBytes);
  if (!bytes.ok()) {
    return bytes.error().code() == Code::kNotFound ? Result<std::optional<hash::Root>>(std::nullopt)
                                                   : bytes.error().copy();
  }
  return pin_of(*bytes);
}

Result<hash::Sha256Digest> Refs::put_seal(std::span<const std::byte> seal) {
  const auto digest = hash::Sha256::of(seal);
  if (!this->seal(digest).ok()) {
    TRY(write("seals", digest.hex(), seal));
  }
  return digest;
}

Result<std::vector<std::byte>> Refs::seal(const hash::Sha256Digest& sha256) const {
  const std::string path = home_.in("seals", sha256.hex());
  auto bytes = TRY(io::read_file(home_.files(), path, formats::kMaxSealBytes));
  if (hash::Sha256::of(bytes) != sha256) {
    return Error(Code::kCorrupt, "the seal is not what was kept").in_file(path);
  }
  return bytes;
}

Result<std::vector<hash::Root>> pinned_snapshots(const Home& home) {
  std::vector<hash::Root> pinned;
  const auto read = [&](const std::string& path, const io::FileInfo&) -> Result<void> {
    const auto bytes = TRY(io::read_file(home.files(), path, kMaxPinBytes));
    if (const auto content_id = pin_of(bytes)) {
      pinned.push_back(*content_id);
    }
    return {};
  };
  TRY(each_file(home.files(), home.path() + "/pins", read));
  return pinned;
}

}  // namespace weighbridge::store
