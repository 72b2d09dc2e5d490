#include "formats/lock.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "model/ref.h"

namespace weighbridge::formats {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr std::string_view kFirstWords = "weighbridge lock ";
constexpr std::string_view kNone = "-";

// May this text stand in a lock?
bool is_lockable(std::string_view text) {
  const auto ref = model::Ref::parse(text);
  return ref.ok() && ref->printable() == text && base::is_utf8(text) &&
         base::printable(text, text.size()) == text;
}

// Takes a text apart line by line. Confined.
class LineReader {
 public:
  explicit LineReader(std::string_view text) : rest_(text) {}

  bool at_end() const { return rest_.empty(); }

  Error malformed(std::string_view what) const {
    return Error(Code::kCorrupt, fmt::format("line {}: {}", line_, what));
  }

  Result<std::string_view> next() {
    ++line_;
    const std::size_t end = rest_.find('\n');
    if (end == std::string_view::npos) {
      return malformed("it has no end");
    }
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return line;
  }

  // The value of a line that begins with this key.
  Result<std::string_view> value_of(std::string_view key) {
    const std::string_view line = TRY(next());
    if (!line.starts_with(key) || !line.substr(key.size()).starts_with(' ')) {
      return malformed(fmt::format("'{} ...' is expected", key));
    }
    return line.substr(key.size() + 1);
  }

  // The same, of a digest.
  template <typename Digest>
  Result<Digest> digest_of(std::string_view key) {
    const auto digest = Digest::from_hex(TRY(value_of(key)));
    if (!digest) {
      return malformed("64 lower-case hexadecimal digits are expected");
    }
    return *digest;
  }

 private:
  std::string_view rest_;
  std::uint64_t line_ = 0;
};

Result<void> check_version(LineReader& lines) {
  const std::string_view line = TRY(lines.next());
  if (!line.starts_with(kFirstWords)) {
    return Error(Code::kCorrupt, "this is no lock file");
  }
  const std::string_view digits = line.substr(kFirstWords.size());
  const auto version = base::parse_decimal(digits);
  if (version && *version > kLockVersion) {
    return Error(Code::kUnsupported, fmt::format("a lock file of version {}", *version))
        .with_hint("A newer weighbridge can read it.");
  }
  if (digits != fmt::format("{}", kLockVersion)) {
    return lines.malformed("no version");
  }
  return {};
}

Result<LockEntry> read_entry(LineReader& lines) {
  if (!TRY(lines.next()).empty()) {
    return lines.malformed("an empty line is expected");
  }
  LockEntry entry;
  entry.ref = std::string(TRY(lines.value_of("ref")));
  if (!is_lockable(entry.ref)) {
    return lines.malformed("a reference is expected, without user, password and query");
  }
  entry.content_id = TRY(lines.digest_of<hash::Root>("content"));
  const std::string_view seal = TRY(lines.value_of("seal"));
  entry.seal_sha256 = hash::Sha256Digest::from_hex(seal);
  if (!entry.seal_sha256 && seal != kNone) {
    return lines.malformed("64 lower-case hexadecimal digits, or '-', are expected");
  }
  return entry;
}

}  // namespace

const LockEntry* Lock::find(std::string_view ref) const {
  const auto place = std::ranges::lower_bound(entries, ref, {}, &LockEntry::ref);
  return place != entries.end() && place->ref == ref ? &*place : nullptr;
}

void Lock::put(LockEntry entry) {
  const auto place = std::ranges::lower_bound(entries, entry.ref, {}, &LockEntry::ref);
  if (place != entries.end() && place->ref == entry.ref) {
    *place = std::move(entry);
  } else {
    entries.insert(place, std::move(entry));
  }
}

Result<std::vector<std::byte>> write_lock(const Lock& lock) {
  std::string text = fmt::format("{}{}\n", kFirstWords, kLockVersion);
  for (std::size_t i = 0; i < lock.entries.size(); ++i) {
    const LockEntry& entry = lock.entries[i];
    if (!is_lockable(entry.ref)) {
      return Error(Code::kInvalid,
                   "a reference with a user, a password or a query cannot be locked: " +
                       base::printable(entry.ref));
    }
    if (i > 0 && entry.ref <= lock.entries[i - 1].ref) {
      return Error(Code::kInvalid, "references of a lock out of order");
    }
    fmt::format_to(std::back_inserter(text),
                   "\nref {}\ncontent {}\nseal {}\n",
                   entry.ref,
                   entry.content_id.hex(),
                   entry.seal_sha256 ? entry.seal_sha256->hex() : std::string(kNone));
  }
  const auto bytes = std::as_bytes(std::span(text));
  return std::vector<std::byte>(bytes.begin(), bytes.end());
}

Result<Lock> parse_lock(std::span<const std::byte> bytes) {
  if (bytes.size() > kMaxLockBytes) {
    return Error(Code::kCorrupt, "a lock file this long is none");
  }
  LineReader lines({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  TRY(check_version(lines));
  Lock lock;
  while (!lines.at_end()) {
    LockEntry entry = TRY(read_entry(lines));
    if (!lock.entries.empty() && entry.ref <= lock.entries.back().ref) {
      return lines.malformed("references out of order");
    }
    lock.entries.push_back(std::move(entry));
  }
  return lock;
}

}  // namespace weighbridge::formats
