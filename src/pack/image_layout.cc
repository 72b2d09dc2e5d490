#include "pack/image_layout.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include <unistd.h>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "base/units.h"

namespace weighbridge::pack {
namespace {

using base::Code;
using base::Error;
using base::Result;
using registry::Descriptor;

constexpr std::string_view kMarker = "oci-layout";
constexpr std::string_view kMarkerText = R"({"imageLayoutVersion":"1.0.0"})";
constexpr std::string_view kVersion = "1.0.0";
constexpr std::string_view kIndexName = "index.json";
constexpr std::string_view kRefName = "org.opencontainers.image.ref.name";
constexpr std::uint64_t kMaxMarkerBytes = 4096;

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string join(const std::string& directory, std::string_view name) {
  return fmt::format("{}/{}", directory, name);
}

Result<void> check_marker(io::FileSystem& files, const std::string& directory) {
  const std::string path = join(directory, kMarker);
  auto bytes = io::read_file(files, path, kMaxMarkerBytes);
  if (!bytes.ok() && bytes.error().code() == Code::kNotFound) {
    return Error(Code::kNotFound,
                 fmt::format("{} is no image layout (it has no {})", directory, kMarker));
  }
  const std::string text = text_of(TRY(std::move(bytes)));
  std::string version;
  const auto read = [&]() -> Result<void> {
    const auto document = TRY(base::JsonDocument::parse(text));
    return document.root().each_member(
        [&](std::string_view key, base::JsonValue value) -> Result<void> {
          if (key == "imageLayoutVersion") {
            version = std::string(TRY(value.as_string()));
          }
          return {};
        });
  };
  if (const Result<void> done = read(); !done.ok()) {
    return std::move(Error(Code::kCorrupt, done.error().message())).in_file(path).context(path);
  }
  if (version != kVersion) {
    return Error(Code::kUnsupported,
                 fmt::format("{} is an image layout of version '{}', not {}",
                             directory,
                             base::printable(version),
                             kVersion));
  }
  return {};
}

// One that is there is as good as a new one, whose name is made to last.
Result<void> make_directory(io::FileSystem& files, const std::string& path) {
  auto made = files.make_directory(path);
  if (!made.ok()) {
    return made.error().code() == Code::kExists ? Result<void>() : std::move(made);
  }
  const std::size_t slash = path.find_last_not_of('/') == std::string::npos
                                ? std::string::npos
                                : path.rfind('/', path.find_last_not_of('/'));
  return files.sync_directory(slash == std::string::npos ? "."
                              : slash == 0               ? "/"
                                                         : path.substr(0, slash));
}

// A name that no other writer uses, in this process or another.
std::string temporary_name(const std::string& directory) {
  static std::atomic<std::uint64_t> count = 0;
  return fmt::format("{}/.weighbridge-tmp-{}-{}", directory, ::getpid(), ++count);
}

// Confined.
class BlobOnDisk final : public LayoutBlob {
 public:
  BlobOnDisk(io::FileSystem& files, Descriptor blob, std::string directory, std::string path)
      : files_(files),
        blob_(std::move(blob)),
        directory_(std::move(directory)),
        path_(std::move(path)),
        temporary_(temporary_name(directory_)),
        digester_(blob_.digest.algorithm()),
        buffer_(kBufferBytes) {}

  BlobOnDisk(const BlobOnDisk&) = delete;
  BlobOnDisk& operator=(const BlobOnDisk&) = delete;

  ~BlobOnDisk() override {
    if (file_ != nullptr && !committed_) {
      file_.reset();
      (void)files_.remove(temporary_).ok();  // what is left is named as ours, and no blob
    }
  }

  Result<void> open() {
    file_ = TRY(files_.create(temporary_));
    return {};
  }

  std::span<std::byte> window() override {
    const std::uint64_t left = blob_.size - written_ - filled_;
    return std::span(buffer_).subspan(filled_).first(
        std::min<std::uint64_t>(buffer_.size() - filled_, left));
  }

  Result<void> landed(std::size_t bytes) override {
    digester_.update(std::span<const std::byte>(buffer_).subspan(filled_, bytes));
    filled_ += bytes;
    return filled_ == buffer_.size() ? flush() : Result<void>();
  }

  Result<void> commit() override {
    TRY(flush());
    if (written_ != blob_.size) {
      return Error(
          Code::kCorrupt,
          fmt::format("{} has {} bytes instead of {}", blob_.digest.text(), written_, blob_.size));
    }
    if (const registry::Digest found = digester_.finish(); found != blob_.digest) {
      return Error(Code::kCorrupt,
                   fmt::format("expected {}, found {}", blob_.digest.text(), found.text()));
    }
    TRY(file_->sync());
    TRY(files_.rename(temporary_, path_));
    committed_ = true;
    return files_.sync_directory(directory_);
  }

 private:
  static constexpr std::size_t kBufferBytes = 2 * base::kMiB;

  Result<void> flush() {
    TRY(file_->write_at(written_, std::span<const std::byte>(buffer_).first(filled_)));
    written_ += filled_;
    filled_ = 0;
    return {};
  }

  io::FileSystem& files_;
  const Descriptor blob_;
  const std::string directory_;
  const std::string path_;
  const std::string temporary_;
  registry::Digester digester_;
  std::unique_ptr<io::OpenFile> file_;
  std::vector<std::byte> buffer_;
  std::size_t filled_ = 0;
  std::uint64_t written_ = 0;
  bool committed_ = false;
};

std::string_view tag_of(const Descriptor& manifest) {
  const auto found = manifest.annotations.find(kRefName);
  return found == manifest.annotations.end() ? std::string_view() : found->second;
}

bool is_named(const Descriptor& manifest, std::string_view tag_or_digest) {
  return tag_of(manifest) == tag_or_digest || manifest.digest.text() == tag_or_digest;
}

}  // namespace

Result<ImageLayout> ImageLayout::open(io::FileSystem& files, std::string directory) {
  TRY(check_marker(files, directory));
  const std::string path = join(directory, kIndexName);
  const std::string text = text_of(TRY(io::read_file(files, path, kMaxIndexBytes)));
  auto parsed = registry::parse_manifest_or_index(text, registry::kIndexType);
  if (!parsed.ok()) {
    return std::move(parsed).error().in_file(path).context(path);
  }
  auto* index = std::get_if<registry::Index>(&parsed.value());
  if (index == nullptr) {
    return Error(Code::kCorrupt, fmt::format("{} is no index", path));
  }
  return ImageLayout(files, std::move(directory), std::move(*index));
}

Result<ImageLayout> ImageLayout::open_or_create(io::FileSystem& files, std::string directory) {
  TRY(make_directory(files, directory));
  auto there = open(files, directory);
  if (there.ok() || there.error().code() != Code::kNotFound) {
    return there;
  }
  for (const io::DirectoryEntry& entry : TRY(files.list(directory))) {
    const bool ours =
        entry.name == "blobs" || entry.name == kMarker || entry.name.starts_with(".weighbridge");
    if (!ours) {
      return Error(Code::kInvalid,
                   fmt::format("{} is no image layout, and not empty: it holds {}",
                               directory,
                               base::printable(entry.name)));
    }
  }
  ImageLayout layout(files, std::move(directory), {});
  TRY(make_directory(files, join(layout.directory_, "blobs")));
  TRY(make_directory(files, join(layout.directory_, "blobs/sha256")));
  TRY(io::write_file_atomically(files, join(layout.directory_, kMarker), bytes_of(kMarkerText)));
  TRY(layout.write_index());  // last: without it there is no layout yet
  return layout;
}

Result<Descriptor> ImageLayout::find(std::string_view tag_or_digest) const {
  const Descriptor* found = nullptr;
  for (const Descriptor& manifest : index_.manifests) {
    if (!tag_or_digest.empty() && !is_named(manifest, tag_or_digest)) {
      continue;
    }
    if (found != nullptr && found->digest != manifest.digest) {
      return Error(Code::kInvalid,
                   fmt::format("{} holds several manifests of that name; name one by its digest",
                               directory_));
    }
    found = &manifest;
  }
  if (found != nullptr) {
    return *found;
  }
  std::string there;
  for (const Descriptor& manifest : index_.manifests) {
    there += fmt::format(
        " {}",
        tag_of(manifest).empty() ? manifest.digest.text() : base::printable(tag_of(manifest)));
  }
  return Error(Code::kNotFound,
               fmt::format("{} has no manifest '{}'; it has{}",
                           directory_,
                           base::printable(tag_or_digest),
                           there.empty() ? " none" : base::printable(there, 1024)));
}

Result<bool> ImageLayout::has(const Descriptor& blob) const {
  const auto info = files_->info(blob_path(blob.digest));
  if (!info.ok()) {
    return info.error().code() == Code::kNotFound ? Result<bool>(false)
                                                  : Result<bool>(info.error().copy());
  }
  return info.value().kind == io::Kind::kFile && info.value().size == blob.size;
}

Result<std::string> ImageLayout::read_small(const Descriptor& blob,
                                            std::uint64_t limit_bytes) const {
  const std::string path = blob_path(blob.digest);
  std::string text = text_of(TRY(io::read_file(*files_, path, limit_bytes)));
  registry::Digester digester(blob.digest.algorithm());
  digester.update(bytes_of(text));
  if (const registry::Digest found = digester.finish(); found != blob.digest) {
    return std::move(
               Error(Code::kCorrupt,
                     fmt::format("{} is not what its name says: found {}", path, found.text())))
        .in_file(path);
  }
  return text;
}

std::string ImageLayout::blob_path(const registry::Digest& digest) const {
  const std::string_view text = digest.text();
  return fmt::format("{}/blobs/{}/{}", directory_, text.substr(0, text.find(':')), digest.hex());
}

Result<std::unique_ptr<LayoutBlob>> ImageLayout::begin_blob(const Descriptor& blob) {
  const std::string path = blob_path(blob.digest);
  const std::string directory = path.substr(0, path.rfind('/'));
  TRY(make_directory(*files_, directory));
  auto begun = std::make_unique<BlobOnDisk>(*files_, blob, directory, path);
  TRY(begun->open());
  return std::unique_ptr<LayoutBlob>(std::move(begun));
}

Result<void> ImageLayout::write_small(const Descriptor& blob, std::string_view bytes) {
  auto begun = TRY(begin_blob(blob));
  while (!bytes.empty()) {
    const auto window = begun->window();
    const std::size_t step = std::min(window.size(), bytes.size());
    if (step == 0) {
      return Error(Code::kCorrupt, fmt::format("{} is too long", blob.digest.text()));
    }
    std::copy_n(bytes_of(bytes).begin(), step, window.begin());
    TRY(begun->landed(step));
    bytes.remove_prefix(step);
  }
  return begun->commit();
}

Result<void> ImageLayout::add_manifest(Descriptor manifest, std::string_view tag) {
  auto& manifests = index_.manifests;
  if (tag.empty()) {
    if (std::any_of(manifests.begin(), manifests.end(), [&](const Descriptor& there) {
          return there.digest == manifest.digest;
        })) {
      return {};
    }
  } else {
    std::erase_if(manifests, [&](const Descriptor& there) { return tag_of(there) == tag; });
    manifest.annotations[std::string(kRefName)] = tag;
  }
  manifests.push_back(std::move(manifest));
  return write_index();
}

Result<bool> ImageLayout::remove(std::string_view tag_or_digest) {
  const std::size_t removed = std::erase_if(index_.manifests, [&](const Descriptor& manifest) {
    return !tag_or_digest.empty() && is_named(manifest, tag_or_digest);
  });
  if (removed != 0) {
    TRY(write_index());
  }
  return removed != 0;
}

Result<void> ImageLayout::write_index() {
  const std::string text = registry::write_index(index_);
  if (text.size() > kMaxIndexBytes) {
    return Error(Code::kExhausted,
                 fmt::format("{} lists too many manifests for one index", directory_));
  }
  return io::write_file_atomically(*files_, join(directory_, kIndexName), bytes_of(text));
}

}  // namespace weighbridge::pack
