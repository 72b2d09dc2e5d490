#include "store/proofs.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace weighbridge::store {
namespace {

using base::Code;
using base::Error;
using base::Result;

struct Place {
  std::string directory;  // below home
  std::string name;
};

Place place_of(const io::FileInfo& file) {
  return {fmt::format("proofs/{:02x}", file.inode & 0xffU),
          fmt::format("{:x}-{:x}", file.device, file.inode)};
}

Place place_of(const hash::Sha256Digest& sha256) {
  const std::string hex = sha256.hex();
  return {"hashtrees/sha256/" + hex.substr(0, 2), hex};
}

bool is_of(const ProofRecord& record, const io::FileInfo& file) {
  return record.device == file.device && record.inode == file.inode &&
         record.hashed.size == file.size && record.mtime_ns == file.mtime_ns &&
         record.ctime_ns == file.ctime_ns;
}

bool is_settled(const io::FileInfo& file, base::WallTime read_began) {
  const base::WallTime until = read_began - Proofs::kSettled;
  const auto until_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(until.time_since_epoch()).count();
  return std::max(file.mtime_ns, file.ctime_ns) <= until_ns;
}

}  // namespace

Proofs::Proofs(io::FileSystem& files, std::string home) : files_(files), home_(std::move(home)) {}

Result<std::optional<HashedFile>> Proofs::find(const io::FileInfo& file) const {
  const Place place = place_of(file);
  const auto bytes = TRY(read(place.directory + "/" + place.name));
  if (!bytes) {
    return std::optional<HashedFile>();
  }
  auto record = parse_proof(*bytes);
  if (!record.ok() || !is_of(*record, file)) {
    return std::optional<HashedFile>();
  }
  return std::optional(std::move(record->hashed));
}

Result<bool> Proofs::remember(const io::FileInfo& file,
                              base::WallTime read_began,
                              const HashedFile& hashed) {
  if (!is_settled(file, read_began) || hashed.size > kMaxHashedBytes) {
    return false;
  }
  if (hashed.size != file.size) {
    return Error(Code::kInvalid, "what was hashed has another size than the file");
  }
  const auto bytes =
      TRY(write_proof({file.device, file.inode, file.mtime_ns, file.ctime_ns, hashed}));
  const Place place = place_of(file);
  TRY(write(place.directory, place.name, bytes));
  return true;
}

Result<std::optional<HashedFile>> Proofs::find_tree(const hash::Sha256Digest& sha256) const {
  const Place place = place_of(sha256);
  const auto bytes = TRY(read(place.directory + "/" + place.name));
  if (!bytes) {
    return std::optional<HashedFile>();
  }
  auto hashed = parse_tree(*bytes);
  if (!hashed.ok() || hashed->sha256 != sha256) {
    return std::optional<HashedFile>();
  }
  return std::optional(std::move(hashed).value());
}

Result<void> Proofs::remember_tree(const HashedFile& hashed) {
  const auto bytes = TRY(write_tree(hashed));
  const Place place = place_of(*hashed.sha256);
  return write(place.directory, place.name, bytes);
}

Result<std::optional<std::vector<std::byte>>> Proofs::read(const std::string& path) const {
  auto bytes = io::read_file(files_, home_ + "/" + path, kMaxRecordBytes);
  // Too long to be one of ours is as good as absent.
  if (!bytes.ok() &&
      (bytes.error().code() == Code::kNotFound || bytes.error().code() == Code::kExhausted)) {
    return std::optional<std::vector<std::byte>>();
  }
  return std::optional(TRY(std::move(bytes)));
}

Result<void> Proofs::write(const std::string& directory,
                           const std::string& name,
                           std::span<const std::byte> bytes) {
  const std::string full = home_ + "/" + directory;
  TRY(make_directories(full));
  TRY(io::write_file_atomically(files_, full + "/" + name, bytes));
  return make_room(full);
}

// From the leaf up, as all but the first record find every directory there.
Result<void> Proofs::make_directories(const std::string& path) {
  auto made = files_.make_directory(path);
  const std::size_t slash = path.rfind('/');
  if (!made.ok() && made.error().code() == Code::kNotFound && slash != std::string::npos &&
      slash > 0) {
    TRY(make_directories(path.substr(0, slash)));
    made = files_.make_directory(path);
  }
  if (!made.ok() && made.error().code() != Code::kExists) {
    return made;
  }
  return {};
}

// The oldest make way, and with them what a crash left behind.
Result<void> Proofs::make_room(const std::string& directory) {
  const auto entries = TRY(files_.list(directory));
  if (entries.size() <= kMaxRecordsADirectory) {
    return {};
  }
  std::vector<std::pair<std::int64_t, std::string>> by_age;
  for (const io::DirectoryEntry& entry : entries) {
    const std::string path = directory + "/" + entry.name;
    const auto info = files_.info(path);
    if (info.ok()) {  // else another process took it away
      by_age.emplace_back(info->mtime_ns, path);
    }
  }
  std::ranges::sort(by_age);
  const std::size_t keep = std::min(by_age.size(), kMaxRecordsADirectory);
  for (std::size_t i = 0; i < by_age.size() - keep; ++i) {
    const auto removed = files_.remove(by_age[i].second);
    if (!removed.ok() && removed.error().code() != Code::kNotFound) {
      return removed.error().copy();
    }
  }
  return {};
}

}  // namespace weighbridge::store
