#include "sources/file_source.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "formats/seal.h"
#include "sources/range_reader.h"

namespace weighbridge::sources {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

constexpr std::size_t kMaxDepth = 64;

bool is_same(const io::FileInfo& a, const io::FileInfo& b) {
  return a.size == b.size && a.device == b.device && a.inode == b.inode &&
         a.mtime_ns == b.mtime_ns && a.ctime_ns == b.ctime_ns;
}

// Walks a directory depth first. Confined to one thread.
class Walk {
 public:
  Walk(const Call& call, io::FileSystem& files, std::string root)
      : call_(call), files_(files), root_(std::move(root)) {}

  Result<Listing> run() {
    TRY(visit("", 0));
    const auto by_path = [](const auto& a, const auto& b) { return a.path < b.path; };
    std::sort(listing_.files.begin(), listing_.files.end(), by_path);
    std::sort(listing_.refused.begin(), listing_.refused.end(), by_path);
    return std::move(listing_);
  }

 private:
  Result<void> visit(const std::string& directory, std::size_t depth) {
    TRY(call_.check());
    if (depth > kMaxDepth) {
      refuse(directory, fmt::format("nests deeper than {} directories", kMaxDepth));
      return {};
    }
    auto entries = files_.list(root_ + "/" + directory);
    if (!entries.ok() && !directory.empty() && is_of_one_entry(entries.error())) {
      refuse(directory, reason_of(entries.error()));
      return {};
    }
    for (const io::DirectoryEntry& entry : TRY(std::move(entries))) {
      const std::string path = directory.empty() ? entry.name : directory + "/" + entry.name;
      if (formats::is_sealable(path)) {
        TRY(visit_entry(path, entry.kind, depth));
      }
    }
    return {};
  }

  Result<void> visit_entry(const std::string& path, io::Kind kind, std::size_t depth) {
    if (!model::is_snapshot_path(path)) {
      refuse(path,
             base::is_utf8(path) ? "the name holds characters that are not allowed"
                                 : "the name is not UTF-8");
      return {};
    }
    if (kind == io::Kind::kDirectory) {
      return visit(path, depth + 1);
    }
    if (kind == io::Kind::kOther) {
      refuse(path, "neither a regular file nor a directory");
      return {};
    }
    auto info = files_.info(root_ + "/" + path);
    if (!info.ok() && kind == io::Kind::kLink) {
      refuse(path, "a link that leads nowhere");
      return {};
    }
    if (!info.ok() && is_of_one_entry(info.error())) {
      refuse(path, reason_of(info.error()));
      return {};
    }
    return add(path, TRY(std::move(info)), kind);
  }

  Result<void> add(const std::string& path, const io::FileInfo& info, io::Kind kind) {
    if (info.kind != io::Kind::kFile) {
      refuse(path,
             kind == io::Kind::kLink && info.kind == io::Kind::kDirectory ? "a link to a directory"
                                                                          : "not a regular file");
      return {};
    }
    if (listing_.files.size() >= formats::kMaxSealFiles) {
      return Error(Code::kExhausted,
                   fmt::format("more than {} files below this directory", formats::kMaxSealFiles))
          .in_file(root_);
    }
    model::File file;
    file.path = path;
    file.size = info.size;
    file.executable = info.executable;
    file.validator = validator_of(info);
    listing_.files.push_back(std::move(file));
    return {};
  }

  // Does this failure say something of one entry, and nothing of the disk or the others?
  static bool is_of_one_entry(const Error& error) {
    return error.code() == Code::kDenied || error.code() == Code::kNotFound;
  }

  static std::string reason_of(const Error& error) {
    return error.code() == Code::kDenied ? "may not be read" : "vanished while it was listed";
  }

  void refuse(const std::string& path, std::string reason) {
    listing_.refused.push_back({path, std::move(reason)});
  }

  const Call& call_;
  io::FileSystem& files_;
  const std::string root_;
  Listing listing_;
};

// Thread-safe: it holds nothing that changes.
class FileSource final : public Source {
 public:
  FileSource(io::FileSystem& files, std::string directory, std::string single)
      : files_(files), directory_(std::move(directory)), single_(std::move(single)) {}

  Result<std::string> single_file(const Call&) override { return single_; }

  Result<std::optional<std::vector<std::byte>>> seal(const Call& call) override {
    TRY(call.check());
    const std::string path = full_path(formats::kSealName);
    auto bytes = io::read_file(files_, path, formats::kMaxSealBytes);
    if (!bytes.ok() && bytes.error().code() == Code::kNotFound) {
      return std::optional<std::vector<std::byte>>();
    }
    return std::optional(TRY(std::move(bytes)));
  }

  Result<std::optional<Listing>> list(const Call& call) override {
    return std::optional(TRY(Walk(call, files_, directory_).run()));
  }

  Result<model::File> find(const Call& call, std::string_view path) override {
    TRY(call.check());
    const io::FileInfo info = TRY(files_.info(full_path(path)));
    if (info.kind != io::Kind::kFile) {
      return Error(Code::kInvalid, "not a regular file").in_file(full_path(path));
    }
    model::File file;
    file.path = std::string(path);
    file.size = info.size;
    file.executable = info.executable;
    file.validator = validator_of(info);
    return file;
  }

  Result<std::optional<LocalFile>> local(const Call& call, std::string_view path) override {
    TRY(call.check());
    const auto open = TRY(files_.open(full_path(path)));
    if (open->is_remote()) {
      return std::optional<LocalFile>();
    }
    const io::FileInfo info = TRY(open->info());
    return std::optional(LocalFile{info, validator_of(info)});
  }

  Result<bool> tells_changes(const Call& call,
                             std::string_view path,
                             const LocalFile& local) override {
    TRY(call.check());
    const auto open = TRY(files_.open(full_path(path)));
    return open->tells_changes() && validator_of(TRY(open->info())) == local.validator;
  }

  Result<void> read(const Call& call,
                    const model::File& file,
                    base::Range range,
                    base::BodySink& sink) override {
    const std::string path = full_path(file.path);
    const auto open = TRY(files_.open(path));
    const io::FileInfo info = TRY(open->info());
    TRY(unchanged(info, file, path));
    RangeReader reader(*open, range);
    for (std::uint64_t offset = range.begin; offset < range.end;) {
      TRY(call.check());
      const std::span<std::byte> window = sink.window();
      if (window.empty()) {
        return {};
      }
      const std::size_t bytes = TRY(reader.read(offset, window));
      if (bytes == 0) {
        return changed(path, fmt::format("it ends at byte {}, expected {}", offset, file.size));
      }
      // Before anybody acts upon what came.
      if (const io::FileInfo now = TRY(open->info()); !is_same(now, info)) {
        TRY(unchanged(now, file, path));
      }
      TRY(sink.landed(bytes));
      offset += bytes;
    }
    return {};
  }

  std::string printable(std::string_view path) const override {
    return base::printable(full_path(path), 4096);
  }

  std::string identity(std::string_view path) const override { return full_path(path); }

  std::size_t max_connections() const override { return kDiskReaders; }

 private:
  static Error changed(const std::string& path, const std::string& how) {
    return Error(Code::kConflict, "the file changed while it was being read: " + how)
        .in_file(path)
        .with_hint("Load it again once nobody writes to it.");
  }

  static Result<void> unchanged(const io::FileInfo& info,
                                const model::File& file,
                                const std::string& path) {
    if (info.size != file.size) {
      // A sealed file of another size is not what was sealed, whoever changed it and when.
      return file.validator.etag.empty()
                 ? Error(
                       Code::kCorrupt,
                       fmt::format("the file has {} bytes, the seal says {}", info.size, file.size))
                       .in_file(path)
                 : changed(path, fmt::format("it had {} bytes, now {}", file.size, info.size));
    }
    if (!file.validator.etag.empty() && validator_of(info) != file.validator) {
      return changed(path, "its times or its inode are others");
    }
    return {};
  }

  std::string full_path(std::string_view path) const {
    return directory_ + "/" + std::string(path);
  }

  io::FileSystem& files_;
  const std::string directory_;
  const std::string single_;
};

}  // namespace

model::Validator validator_of(const io::FileInfo& info) {
  return {fmt::format("{:x}-{:x}-{:x}-{:x}", info.device, info.inode, info.mtime_ns, info.ctime_ns),
          {}};
}

Result<std::unique_ptr<Source>> open_file_source(io::FileSystem& files, const model::Ref& ref) {
  std::string path = ref.location();
  auto found = files.info(path);
  if (!found.ok() && ref.printable() != ref.text()) {
    // Perhaps a mistyped URL with a password, which the file system's own message would repeat.
    return Error(found.error().code(), ref.printable() + ": cannot be looked up as a file")
        .in_file(ref.printable());
  }
  const io::FileInfo info = TRY(std::move(found));
  if (info.kind == io::Kind::kOther) {
    return Error(Code::kInvalid, "neither a regular file nor a directory").in_file(path);
  }
  std::string single;
  if (info.kind == io::Kind::kFile) {
    const std::size_t slash = path.rfind('/');
    single = slash == std::string::npos ? path : path.substr(slash + 1);
    path = slash == std::string::npos ? "." : path.substr(0, std::max<std::size_t>(slash, 1));
  }
  if (!single.empty() && !model::is_snapshot_path(single)) {
    return Error(Code::kInvalid, "the file's name holds characters that are not allowed")
        .in_file(base::printable(ref.location()));
  }
  while (path.size() > 1 && path.ends_with('/')) {
    path.pop_back();
  }
  return std::unique_ptr<Source>(
      std::make_unique<FileSource>(files, std::move(path), std::move(single)));
}

}  // namespace weighbridge::sources
