#include "pack/copy.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "pack/in_parallel.h"
#include "pack/local_bytes.h"
#include "registry/manifest.h"
#include "sources/file_source.h"

namespace weighbridge::pack {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;
using registry::Descriptor;
using registry::Digest;
using registry::FetchedManifest;
using registry::Reference;

// Fills memory and no more. Confined, as every sink.
class SpanSink final : public base::BodySink {
 public:
  explicit SpanSink(std::span<std::byte> memory) : memory_(memory) {}

  std::span<std::byte> window() override { return memory_.subspan(landed_); }

  Result<void> landed(std::size_t bytes) override {
    landed_ += bytes;
    return {};
  }

  std::size_t landed_bytes() const { return landed_; }

 private:
  const std::span<std::byte> memory_;
  std::size_t landed_ = 0;
};

// A blob that comes part by part from a registry while it leaves for another: the digest is known,
// and who takes it checks it. Confined.
class FetchedBytes final : public BlobBytes {
 public:
  FetchedBytes(CopySource& from, Descriptor blob, const Patience& patience)
      : from_(from), blob_(std::move(blob)), patience_(patience) {}

  std::uint64_t size() const override { return blob_.size; }

  std::optional<Digest> digest() const override { return blob_.digest; }

  Result<void> seek(const Call& /*call*/, std::uint64_t offset) override {
    offset_ = offset;
    return {};
  }

  Result<base::BodyPart> next(const Call& call, std::uint64_t most) override {
    if (offset_ < part_.begin || offset_ >= part_.end) {
      TRY(fetch(call));
    }
    const std::uint64_t bytes = std::min(most, part_.end - offset_);
    const auto given = std::span<const std::byte>(buffer_).subspan(offset_ - part_.begin, bytes);
    offset_ += bytes;
    return base::BodyPart(given);
  }

  Result<Digest> finish(const Call& /*call*/) override { return blob_.digest; }

 private:
  Result<void> fetch(const Call& call) {
    part_ = {offset_, std::min(blob_.size, offset_ + kCopyPartBytes)};
    buffer_.resize(part_.size());
    auto fetched = patience_.run(call, blob_.digest.text(), [&]() -> Result<void> {
      SpanSink sink(buffer_);
      TRY(from_.read(call, blob_, part_, sink));
      return sink.landed_bytes() == part_.size()
                 ? Result<void>()
                 : Error(Code::kUnavailable, "the blob ended too early");
    });
    if (!fetched.ok()) {
      part_ = {};
    }
    return fetched;
  }

  CopySource& from_;
  const Descriptor blob_;
  const Patience& patience_;
  std::uint64_t offset_ = 0;
  base::Range part_{};  // of the blob, that stands in the buffer
  std::vector<std::byte> buffer_;
};

// Thread-safe, as the client is.
class RegistrySource final : public CopySource {
 public:
  RegistrySource(registry::Client& client, Reference reference)
      : client_(client), reference_(std::move(reference)) {}

  Result<FetchedManifest> manifest(const Call& call) override {
    return client_.get_manifest(call, reference_.repository, reference_.name());
  }

  Result<FetchedManifest> manifest(const Call& call, const Descriptor& listed) override {
    return client_.get_manifest(call, reference_.repository, listed.digest);
  }

  Result<void> read(const Call& call,
                    const Descriptor& blob,
                    base::Range range,
                    base::BodySink& sink) override {
    return client_.read_blob(call, reference_.repository, blob, range, sink);
  }

  std::string repository_at(const std::string& host) const override {
    return host == client_.host() ? reference_.repository : "";
  }

  Result<std::unique_ptr<BlobBytes>> bytes(const Descriptor& blob,
                                           const Patience& patience) override {
    return std::unique_ptr<BlobBytes>(std::make_unique<FetchedBytes>(*this, blob, patience));
  }

 private:
  registry::Client& client_;
  const Reference reference_;
};

// Thread-safe: the layout is only read.
class LayoutSource final : public CopySource {
 public:
  LayoutSource(io::FileSystem& files, ImageLayout layout, Descriptor top)
      : files_(files), layout_(std::move(layout)), top_(std::move(top)) {}

  Result<FetchedManifest> manifest(const Call& call) override { return manifest(call, top_); }

  Result<FetchedManifest> manifest(const Call& /*call*/, const Descriptor& listed) override {
    std::string bytes = TRY(layout_.read_small(listed, registry::kMaxManifestBytes));
    return FetchedManifest{listed.media_type, listed.digest, std::move(bytes)};
  }

  Result<void> read(const Call& call,
                    const Descriptor& blob,
                    base::Range range,
                    base::BodySink& sink) override {
    const auto file = TRY(files_.open(layout_.blob_path(blob.digest)));
    while (!range.empty()) {
      TRY(call.check());
      const auto window = sink.window();
      const auto into = window.first(std::min<std::uint64_t>(window.size(), range.size()));
      const std::size_t bytes = TRY(file->read_at(range.begin, into));
      if (bytes == 0) {
        return Error(Code::kCorrupt, "the blob is shorter than its descriptor says")
            .in_file(layout_.blob_path(blob.digest));
      }
      TRY(sink.landed(bytes));
      range.begin += bytes;
    }
    return {};
  }

  std::string repository_at(const std::string& /*host*/) const override { return {}; }

  Result<std::unique_ptr<BlobBytes>> bytes(const Descriptor& blob,
                                           const Patience& /*patience*/) override {
    const std::string path = layout_.blob_path(blob.digest);
    const io::FileInfo info = TRY(files_.info(path));
    if (info.size != blob.size) {
      return Error(
                 Code::kCorrupt,
                 fmt::format("the blob has {} bytes, its descriptor says {}", info.size, blob.size))
          .in_file(path);
    }
    model::File file;
    file.path = path;
    file.size = info.size;
    file.validator = sources::validator_of(info);
    return std::unique_ptr<BlobBytes>(std::make_unique<KnownBytes>(
        TRY(LocalFile::open(files_, path, file)), base::Range{0, blob.size}, blob.digest));
  }

 private:
  io::FileSystem& files_;
  const ImageLayout layout_;
  const Descriptor top_;
};

// All that is to be copied: manifests, those that others list first, and their blobs, each once.
struct Inventory {
  std::vector<FetchedManifest> manifests;
  std::vector<Descriptor> blobs;
  std::set<std::string> known;

  void add_blob(const Descriptor& blob) {
    if (known.insert(blob.digest.text()).second) {
      blobs.push_back(blob);
    }
  }
};

// Takes stock of a manifest or an index, and of what it lists. Confined.
class Taker {
 public:
  Taker(const Call& call, CopySource& from, const Patience& patience)
      : call_(call), from_(from), patience_(patience) {}

  Result<Inventory> run() {
    TRY(take(TRY(patience_.run(call_, "the manifest", [&] { return from_.manifest(call_); })), 0));
    return std::move(inventory_);
  }

 private:
  Result<void> take(FetchedManifest fetched, int depth) {
    const auto parsed = TRY(registry::parse_manifest_or_index(fetched.bytes, fetched.media_type));
    if (const auto* const index = std::get_if<registry::Index>(&parsed)) {
      if (depth == kMaxIndexDepth) {
        return Error(Code::kUnsupported, "an index lists indexes too deeply");
      }
      for (const Descriptor& listed : index->manifests) {
        TRY(take(TRY(patience_.run(
                     call_, listed.digest.text(), [&] { return from_.manifest(call_, listed); })),
                 depth + 1));
      }
    } else {
      const auto& manifest = std::get<registry::Manifest>(parsed);
      inventory_.add_blob(manifest.config);
      for (const Descriptor& layer : manifest.layers) {
        inventory_.add_blob(layer);
      }
    }
    inventory_.manifests.push_back(std::move(fetched));
    return {};
  }

  const Call& call_;
  CopySource& from_;
  const Patience& patience_;
  Inventory inventory_;
};

Patience new_patience(transfer::Progress& progress) {
  return {sync::seeded_random(std::random_device{}()), progress};
}

Copied begun(const Inventory& inventory, transfer::Progress& progress) {
  Copied copied{inventory.manifests.back().digest, inventory.blobs.size()};
  for (const Descriptor& blob : inventory.blobs) {
    copied.bytes += blob.size;
  }
  progress.wanted_bytes += copied.bytes;
  return copied;
}

}  // namespace

std::unique_ptr<CopySource> copy_from_registry(registry::Client& client, Reference reference) {
  return std::make_unique<RegistrySource>(client, std::move(reference));
}

Result<std::unique_ptr<CopySource>> copy_from_layout(io::FileSystem& files,
                                                     const std::string& directory,
                                                     std::string name) {
  auto layout = TRY(ImageLayout::open(files, directory));
  auto top = TRY(layout.find(name));
  return std::unique_ptr<CopySource>(
      std::make_unique<LayoutSource>(files, std::move(layout), std::move(top)));
}

Result<Copied> copy_to_registry(const Call& call,
                                CopySource& from,
                                registry::Client& client,
                                const Reference& to,
                                transfer::Progress& progress) {
  const Patience patience = new_patience(progress);
  const Inventory inventory = TRY(Taker(call, from, patience).run());
  Copied copied = begun(inventory, progress);
  std::vector<std::string> mount_from;
  const std::string same_registry = from.repository_at(client.host());
  if (!same_registry.empty() && same_registry != to.repository) {
    mount_from.push_back(same_registry);
  }
  const BlobTarget target{client, to.repository, mount_from, patience, progress};
  std::atomic<std::uint64_t> sent_bytes = 0;
  TRY(in_parallel(
      call, inventory.blobs.size(), kCopies, [&](const Call& inner, std::size_t i) -> Result<void> {
        const Descriptor& blob = inventory.blobs[i];
        const auto bytes = TRY(from.bytes(blob, patience));
        const auto uploaded = TRY(upload_blob(inner, target, blob.digest.text(), *bytes));
        sent_bytes += uploaded.how == UploadedBlob::How::kSent ? blob.size : 0;
        return {};
      }));
  copied.sent_bytes = sent_bytes;
  for (const FetchedManifest& manifest : inventory.manifests) {
    const bool is_top = &manifest == &inventory.manifests.back();
    const registry::TagOrDigest name =
        is_top && to.tag ? registry::TagOrDigest(*to.tag) : registry::TagOrDigest(manifest.digest);
    TRY(patience.run(call, manifest.digest.text(), [&] {
      return client.put_manifest(call, to.repository, name, manifest.media_type, manifest.bytes);
    }));
  }
  return copied;
}

Result<Copied> copy_to_layout(const Call& call,
                              CopySource& from,
                              ImageLayout& layout,
                              const std::string& tag,
                              transfer::Progress& progress) {
  const Patience patience = new_patience(progress);
  const Inventory inventory = TRY(Taker(call, from, patience).run());
  Copied copied = begun(inventory, progress);
  std::atomic<std::uint64_t> sent_bytes = 0;
  TRY(in_parallel(
      call, inventory.blobs.size(), kCopies, [&](const Call& inner, std::size_t i) -> Result<void> {
        const Descriptor& blob = inventory.blobs[i];
        if (!TRY(layout.has(blob))) {
          TRY(patience.run(inner, blob.digest.text(), [&]() -> Result<void> {
            const auto into = TRY(layout.begin_blob(blob));
            if (blob.size > 0) {
              TRY(from.read(inner, blob, {0, blob.size}, *into));
            }
            return into->commit();
          }));
          sent_bytes += blob.size;
        }
        progress.proved_bytes += blob.size;
        return {};
      }));
  copied.sent_bytes = sent_bytes;
  for (const FetchedManifest& manifest : inventory.manifests) {
    const bool is_top = &manifest == &inventory.manifests.back();
    TRY(layout.write_small(manifest.descriptor(), manifest.bytes));
    if (is_top) {
      TRY(layout.add_manifest(manifest.descriptor(), tag));
    }
  }
  return copied;
}

}  // namespace weighbridge::pack
