#include "store/refs.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "formats/seal.h"
#include "hash/hash_tree.h"
#include "hash/sha256.h"
#include "store/files.h"
#include "store/record_text.h"

namespace weighbridge::store {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr std::string_view kFirstLine = "weighbridge ref 1\n";
constexpr std::string_view kInNames = "._-";
constexpr std::uint64_t kMaxPinBytes = 256;

Result<model::Trust> trust_of(std::string_view value) {
  for (const model::Trust trust : {model::Trust::kNone,
                                   model::Trust::kFirstSeen,
                                   model::Trust::kOrigin,
                                   model::Trust::kPinned}) {
    if (model::name_of(trust) == value) {
      return trust;
    }
  }
  return damaged_record("the trust is unknown");
}

Result<RefRecord::Noted> noted_of(std::string_view line) {
  const std::vector<std::string_view> parts = base::split(line, ' ');
  constexpr std::size_t kParts = 4;
  if (parts.size() != kParts) {
    return damaged_record("a line of a file");
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

std::optional<hash::Root> pin_of(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return text.ends_with('\n') ? hash::Root::from_hex(text.substr(0, text.size() - 1))
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
  return close_record(std::move(text));
}

Result<RefRecord> parse_ref(std::span<const std::byte> bytes) {
  RecordLines lines = TRY(open_record(bytes, kFirstLine));
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
    return damaged_record("its files");
  }
  return record;
}

std::string ref_file_name(const model::Ref& ref) {
  constexpr std::size_t kMaxNameBytes = 160;
  constexpr std::size_t kDigits = 16;
  const std::string printable = ref.printable();
  std::string name = escape_record_text(printable, kInNames);
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

Result<std::vector<StoredRef>> Refs::all() const {
  std::vector<StoredRef> found;
  const auto read = [&](const std::string& path, const io::FileInfo&) -> Result<void> {
    const auto bytes = io::read_file(home_.files(), path, kMaxRefRecordBytes);
    if (!bytes.ok()) {
      // Removed meanwhile.
      return bytes.error().code() == Code::kNotFound ? Result<void>() : bytes.error().copy();
    }
    auto record = parse_ref(*bytes);
    if (record.ok()) {
      std::string name = path.substr(path.rfind('/') + 1);
      const auto pinned = TRY(read_pin(name));
      found.push_back({std::move(name), std::move(record).value(), pinned});
    }
    return {};
  };
  TRY(each_file(home_.files(), home_.path() + "/refs", read));
  std::ranges::sort(found, [](const StoredRef& a, const StoredRef& b) {
    return std::tie(a.record.ref, a.name) < std::tie(b.record.ref, b.name);
  });
  return found;
}

Result<void> Refs::remove(const model::Ref& ref) {
  return remove_if_there(home_.files(), home_.in("refs", ref_file_name(ref)));
}

Result<void> Refs::remove(const StoredRef& stored) {
  return remove_if_there(home_.files(), home_.in("refs", stored.name));
}

Result<void> Refs::pin(const model::Ref& ref, const hash::Root& content_id) {
  return write_pin(ref_file_name(ref), content_id);
}

Result<void> Refs::pin(const StoredRef& stored, const hash::Root& content_id) {
  return write_pin(stored.name, content_id);
}

Result<void> Refs::write_pin(const std::string& name, const hash::Root& content_id) {
  const std::string text = content_id.hex() + "\n";
  return write("pins", name, std::as_bytes(std::span(text)));
}

Result<void> Refs::unpin(const model::Ref& ref) {
  return remove_if_there(home_.files(), home_.in("pins", ref_file_name(ref)));
}

Result<void> Refs::unpin(const StoredRef& stored) {
  return remove_if_there(home_.files(), home_.in("pins", stored.name));
}

Result<std::optional<hash::Root>> Refs::pinned(const model::Ref& ref) const {
  return read_pin(ref_file_name(ref));
}

Result<std::optional<hash::Root>> Refs::read_pin(const std::string& name) const {
  const auto bytes = io::read_file(home_.files(), home_.in("pins", name), kMaxPinBytes);
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
