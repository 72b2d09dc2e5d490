#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/range.h"
#include "base/result.h"
#include "io/file_system.h"
#include "registry/client.h"

namespace weighbridge::pack {

// Which bytes are uploaded where: what must be the same for an upload to be taken up.
struct UploadKey {
  std::string host;
  std::string repository;
  std::string path;      // of the file
  std::string revision;  // of the file: what changes when it does
  base::Range range;     // of the file
};

// Where an upload stands, written down for the process that takes it up when this one is killed:
// `<home>/uploads/<digest of what and where>`, mode 0600, since a location may be a secret. Losing
// it costs no more than sending again, so that nothing is synced and no failure of the disk is one
// of ours. Held under a lock: two processes never go on with the same upload. Confined to the
// thread that uploads.
class KeptUpload {
 public:
  // Nothing if another process is at it, or it cannot be kept there. Borrows `files`.
  static std::unique_ptr<KeptUpload> open(io::FileSystem& files,
                                          const std::string& home,
                                          const UploadKey& key);
  KeptUpload(const KeptUpload&) = delete;
  KeptUpload& operator=(const KeptUpload&) = delete;
  // A record of nothing is removed.
  ~KeptUpload();

  // As it was found: of the same revision, to go on with ...
  std::optional<registry::Upload> found() const;
  // ... or of an older one, to be cancelled.
  std::optional<registry::Upload> outdated() const;

  void keep(const registry::Upload& upload);
  void forget();

 private:
  KeptUpload(io::FileSystem& files,
             std::string path,
             std::unique_ptr<io::OpenFile> file,
             UploadKey key)
      : files_(files), path_(std::move(path)), file_(std::move(file)), key_(std::move(key)) {}

  void read();
  bool write(const std::string& text);

  io::FileSystem& files_;
  const std::string path_;
  const std::unique_ptr<io::OpenFile> file_;
  const UploadKey key_;
  std::optional<registry::Upload> found_;
  std::optional<registry::Upload> outdated_;
  bool empty_ = true;
};

}  // namespace weighbridge::pack
