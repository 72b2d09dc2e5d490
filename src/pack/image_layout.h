#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/body_sink.h"
#include "base/range.h"
#include "base/result.h"
#include "io/file_system.h"
#include "registry/digest.h"
#include "registry/manifest.h"

namespace weighbridge::pack {

// A blob on its way into a layout: nobody sees it before commit(). Destroyed without a commit it
// leaves nothing behind. Confined to one thread.
class LayoutBlob : public base::BodySink {
 public:
  // kCorrupt, with both digests or sizes: these were not the blob's bytes. After a success it
  // stands under its name, on disk.
  virtual base::Result<void> commit() = 0;
};

// An OCI image layout: a directory with `oci-layout`, `index.json` and `blobs/`. Several may read
// one that is being written; one at a time writes. Thread-compatible.
class ImageLayout {
 public:
  static constexpr std::uint64_t kMaxIndexBytes = registry::kMaxManifestBytes;

  // An existing one. kNotFound: there is none. kCorrupt: broken. kUnsupported: of another version.
  // `files` outlives the layout.
  static base::Result<ImageLayout> open(io::FileSystem& files, std::string directory);
  // The same, or a new one, made where `directory` does not exist or is empty. kInvalid: it holds
  // other things.
  static base::Result<ImageLayout> open_or_create(io::FileSystem& files, std::string directory);

  const registry::Index& index() const { return index_; }

  // The manifest under that tag (several are kInvalid: name one by digest), under that digest, or,
  // of an empty name, the only one there is. kNotFound, naming what there is.
  base::Result<registry::Descriptor> find(std::string_view tag_or_digest) const;

  // Is the blob there, with that size?
  base::Result<bool> has(const registry::Descriptor& blob) const;
  // Bytes of a small one (manifest, config, seal), checked. kCorrupt: not what its digest says.
  // kExhausted above `limit_bytes`. kNotFound.
  base::Result<std::string> read_small(const registry::Descriptor& blob,
                                       std::uint64_t limit_bytes) const;
  // Where the blob lies.
  std::string blob_path(const registry::Digest& digest) const;

  base::Result<std::unique_ptr<LayoutBlob>> begin_blob(const registry::Descriptor& blob);
  base::Result<void> write_small(const registry::Descriptor& blob, std::string_view bytes);
  // Lists the manifest, whose blobs are all there, under `tag` (empty: none), which moves from
  // where it was. Replaces index.json atomically.
  base::Result<void> add_manifest(registry::Descriptor manifest, std::string_view tag);
  // Takes the tag away, or every entry of that digest. False if there was none. Blobs stay.
  base::Result<bool> remove(std::string_view tag_or_digest);

 private:
  ImageLayout(io::FileSystem& files, std::string directory, registry::Index index)
      : files_(&files), directory_(std::move(directory)), index_(std::move(index)) {}

  base::Result<void> write_index();

  io::FileSystem* files_;
  std::string directory_;
  registry::Index index_;
};

}  // namespace weighbridge::pack
