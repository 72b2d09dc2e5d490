#include "store/adopted.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "hash/hash_tree.h"
#include "model/snapshot.h"
#include "store/files.h"
#include "store/record_text.h"

namespace weighbridge::store {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr std::string_view kFirstLine = "weighbridge adopted 1\n";
constexpr std::string_view kFile = "file";
constexpr std::string_view kWithdrawn = "withdrawn";

std::string line_of(const AdoptedFile& file) {
  return fmt::format("{} {} {} {} {} {} {} {}\n",
                     file.withdrawn ? kWithdrawn : kFile,
                     file.root.hex(),
                     file.size,
                     file.device,
                     file.inode,
                     file.mtime_ns,
                     file.ctime_ns,
                     value_of(std::string_view(file.path)));
}

template <typename Digest>
Result<Digest> required_digest(std::string_view value) {
  const auto digest = TRY(digest_of<Digest>(value));
  return digest ? Result<Digest>(*digest) : damaged_record("a digest is missing");
}

Result<AdoptedFile> file_of(std::string_view line, bool withdrawn) {
  const std::vector<std::string_view> parts = base::split(line, ' ');
  constexpr std::size_t kParts = 7;
  if (parts.size() != kParts) {
    return damaged_record("a line of a file");
  }
  AdoptedFile file;
  file.root = TRY(required_digest<hash::Root>(parts[0]));
  file.size = TRY(number_of(parts[1]));
  file.device = TRY(number_of(parts[2]));
  file.inode = TRY(number_of(parts[3]));
  file.mtime_ns = TRY(signed_number_of(parts[4]));
  file.ctime_ns = TRY(signed_number_of(parts[5]));
  file.path = TRY(text_of(parts[6]));
  file.withdrawn = withdrawn;
  return file;
}

Result<void> check_names(const AdoptedDirectory& adopted) {
  if (!adopted.directory.starts_with('/')) {
    return Error(Code::kInvalid, "an adopted directory needs an absolute path");
  }
  std::string_view before;
  for (const AdoptedFile& file : adopted.files) {
    if (!model::is_snapshot_path(file.path) || file.path <= before) {
      return Error(Code::kInvalid, "paths of a record that are not allowed or not in order");
    }
    before = file.path;
  }
  return {};
}

}  // namespace

std::string adopted_path(const std::string& directory, std::string_view path) {
  return fmt::format("{}{}{}", directory, directory.ends_with('/') ? "" : "/", path);
}

bool AdoptedFile::is(const io::FileInfo& info) const {
  return info.device == device && info.inode == inode && info.size == size &&
         info.mtime_ns == mtime_ns && info.ctime_ns == ctime_ns;
}

Result<std::vector<std::byte>> write_adopted(const AdoptedDirectory& adopted) {
  TRY(check_names(adopted));
  std::string text(kFirstLine);
  text += fmt::format("directory {}\n", value_of(std::string_view(adopted.directory)));
  text += fmt::format("content {}\n", adopted.content_id.hex());
  text += fmt::format("seal {}\n", adopted.seal_sha256.hex());
  text += fmt::format("adopted {}\n", adopted.adopted_s);
  for (const AdoptedFile& file : adopted.files) {
    text += line_of(file);
  }
  return close_record(std::move(text));
}

Result<AdoptedDirectory> parse_adopted(std::span<const std::byte> bytes) {
  RecordLines lines = TRY(open_record(bytes, kFirstLine));
  AdoptedDirectory adopted;
  adopted.directory = TRY(text_of(TRY(lines.take("directory"))));
  adopted.content_id = TRY(required_digest<hash::Root>(TRY(lines.take("content"))));
  adopted.seal_sha256 = TRY(required_digest<hash::Sha256Digest>(TRY(lines.take("seal"))));
  adopted.adopted_s = TRY(number_of(TRY(lines.take("adopted"))));
  while (!lines.done()) {
    const bool withdrawn = lines.starts_with(kWithdrawn);
    const std::string_view line = TRY(lines.take(withdrawn ? kWithdrawn : kFile));
    adopted.files.push_back(TRY(file_of(line, withdrawn)));
  }
  if (!check_names(adopted).ok()) {
    return damaged_record("its names");
  }
  return adopted;
}

std::string Adopted::record_path(const std::string& directory) const {
  return home_.in("adopted", hash::hash_bytes(std::as_bytes(std::span(directory))).hex());
}

Result<void> Adopted::put(const AdoptedDirectory& adopted) {
  const std::vector<std::byte> bytes = TRY(write_adopted(adopted));
  if (bytes.size() > kMaxAdoptedRecordBytes) {
    return Error(Code::kExhausted, "the directory has too many files").in_file(adopted.directory);
  }
  TRY(home_.make_directory("adopted"));
  TRY(io::write_file_atomically(home_.files(), record_path(adopted.directory), bytes));
  places_.with([](std::optional<Places>& places) { places.reset(); });
  return {};
}

Result<std::vector<AdoptedDirectory>> adopted_directories(const Home& home) {
  std::vector<AdoptedDirectory> found;
  const auto read = [&](const std::string& path, const io::FileInfo&) -> Result<void> {
    const auto bytes = io::read_file(home.files(), path, kMaxAdoptedRecordBytes);
    if (!bytes.ok()) {
      // Removed meanwhile.
      return bytes.error().code() == Code::kNotFound ? Result<void>() : bytes.error().copy();
    }
    auto adopted = parse_adopted(*bytes);
    if (adopted.ok()) {
      found.push_back(std::move(adopted).value());
    }
    return {};
  };
  TRY(each_file(home.files(), home.path() + "/adopted", read));
  std::ranges::sort(found, {}, &AdoptedDirectory::directory);
  return found;
}

Result<std::optional<AdoptedDirectory>> Adopted::find(const std::string& directory) const {
  const auto bytes = io::read_file(home_.files(), record_path(directory), kMaxAdoptedRecordBytes);
  if (!bytes.ok()) {
    return bytes.error().code() == Code::kNotFound
               ? Result<std::optional<AdoptedDirectory>>(std::nullopt)
               : bytes.error().copy();
  }
  auto adopted = parse_adopted(*bytes);
  return adopted.ok() ? std::optional(std::move(adopted).value()) : std::nullopt;
}

Result<void> Adopted::remove(const std::string& directory) {
  TRY(remove_if_there(home_.files(), record_path(directory)));
  places_.with([](std::optional<Places>& places) { places.reset(); });
  return {};
}

Result<std::vector<Adopted::Place>> Adopted::places(const hash::Root& root) {
  if (places_.with([](const std::optional<Places>& places) { return !places.has_value(); })) {
    Places read;
    for (const AdoptedDirectory& adopted : TRY(all())) {
      for (const AdoptedFile& file : adopted.files) {
        if (!file.withdrawn) {
          read.emplace(file.root, Place{adopted.directory, file});
        }
      }
    }
    places_.with([&](std::optional<Places>& places) { places = std::move(read); });
  }
  return places_.with([&](const std::optional<Places>& places) {
    std::vector<Place> found;
    if (places) {  // or another thread's put() came between: it is found the next time
      const auto [begin, end] = places->equal_range(root);
      std::transform(
          begin, end, std::back_inserter(found), [](const auto& place) { return place.second; });
    }
    return found;
  });
}

Result<std::optional<AdoptedCopy>> Adopted::open(const hash::Root& root) {
  for (const Place& place : TRY(places(root))) {
    AdoptedCopy copy{adopted_path(place.directory, place.file.path), place.file.size, nullptr};
    auto opened = home_.files().open(copy.path);
    if (!opened.ok()) {
      continue;  // out of reach just now
    }
    copy.file = std::move(opened).value();
    if (place.file.is(TRY(copy.file->info()))) {
      return std::optional(std::move(copy));
    }
    TRY(withdraw(place.directory, place.file.path));
  }
  return std::optional<AdoptedCopy>();
}

Result<void> Adopted::withdraw(const std::string& directory, std::string_view path) {
  auto adopted = TRY(find(directory));
  if (!adopted) {
    return {};
  }
  const auto file = std::ranges::find(adopted->files, path, &AdoptedFile::path);
  if (file == adopted->files.end() || file->withdrawn) {
    return {};
  }
  file->withdrawn = true;
  return put(*adopted);
}

}  // namespace weighbridge::store
