#include <utility>

#include "base/units.h"
#include "pack/kept_upload.h"
#include "pack/local_bytes.h"
#include "pack/push_file.h"

namespace weighbridge::pack {
namespace {

using base::Call;
using base::Result;
using How = UploadedBlob::How;

// A smaller file is hashed before it is sent: one request less, and nothing is sent in vain.
constexpr std::uint64_t kSmallBytes = 4 * base::kMiB;

// Confined to the thread that pushes the file.
class LocalFilePush {
 public:
  LocalFilePush(const FilePush& push, std::string path, const model::File& file)
      : push_(push), path_(std::move(path)), file_(file) {
    content_.sealed.path = file.path;
    content_.sealed.size = file.size;
    content_.sealed.executable = file.executable;
  }

  Result<PushedContent> run(const Call& call) {
    if (push_.parts.local_proofs != nullptr) {
      met_ = push_.parts.local_proofs->meet(call, push_.from.source, file_, false);
    }
    const auto ranges = TRY(layer_ranges(file_.size, push_.layer_limit_bytes));
    if (ranges.size() > 1) {
      TRY(send_parts(call, ranges));
    } else if (is_known()) {
      TRY(send_known(call, ranges.front(), registry::Digest(content_.sealed.sha256)));
    } else {
      TRY(send_new(call));
    }
    return std::move(content_);
  }

 private:
  // Has this machine hashed this very file before, and is there all that its seal needs?
  bool is_known() {
    if (!met_ || !met_->known || !met_->known->sha256) {
      return false;
    }
    const store::HashedFile& known = *met_->known;
    const formats::SealedFile* same =
        push_.before.same_content(file_.path, known.root, *known.sha256);
    if (same == nullptr && transfer::may_have_hints(file_)) {
      return false;
    }
    content_.sealed.sha256 = *known.sha256;
    content_.sealed.root = known.root;
    content_.sealed.pieces = known.pieces;
    if (same != nullptr) {
      content_.sealed.hints = same->hints;
    }
    return true;
  }

  Result<void> send_known(const Call& call, base::Range range, const registry::Digest& digest) {
    KnownBytes bytes(TRY(LocalFile::open(push_.parts.files, path_, file_)), range, digest);
    return send(call, bytes, range);
  }

  Result<void> send_new(const Call& call) {
    auto hinted = TRY(transfer::hinted_tensors(call, push_.from.source, file_));
    WholeFileBytes bytes(TRY(LocalFile::open(push_.parts.files, path_, file_)),
                         file_.size,
                         std::move(hinted),
                         push_.target.client.is_plain());
    if (may_be_there()) {
      TRY(bytes.seek(call, file_.size));
      TRY(bytes.finish(call));
    }
    TRY(send(call, bytes, {0, file_.size}));
    take(bytes.described());
    return {};
  }

  // Then it is hashed before it is sent.
  bool may_be_there() const {
    return file_.size <= kSmallBytes || push_.before.layer_sizes.contains(file_.size) ||
           !push_.target.mount_from.empty();
  }

  // Above the registry's limit: hashed in one pass, then sent part by part.
  Result<void> send_parts(const Call& call, const std::vector<base::Range>& ranges) {
    LocalFile file = TRY(LocalFile::open(push_.parts.files, path_, file_));
    auto hinted = TRY(transfer::hinted_tensors(call, push_.from.source, file_));
    const CutFile cut = TRY(describe_in_parts(call, file, file_.size, std::move(hinted), ranges));
    take(cut.described);
    How how = How::kThere;
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      TRY(send_known(call, ranges[i], cut.layers[i]));
      how = content_.how == How::kThere ? how : content_.how;
    }
    content_.how = how;
    return {};
  }

  Result<void> send(const Call& call, BlobBytes& bytes, base::Range range) {
    std::unique_ptr<KeptUpload> kept;
    if (!push_.parts.home.empty() && range.size() > kSmallBytes) {
      const UploadKey key{
          push_.target.client.host(), push_.target.repository, path_, file_.validator.etag, range};
      kept = KeptUpload::open(push_.parts.files, push_.parts.home, key);
    }
    auto uploaded = TRY(upload_blob(call, push_.target, path_, bytes, kept.get()));
    content_.layers.push_back(std::move(uploaded.digest));
    content_.how = uploaded.how;
    return {};
  }

  // What was hashed now, for the seal and for the next push.
  void take(const formats::SealedFile& described) {
    content_.sealed.sha256 = described.sha256;
    content_.sealed.root = described.root;
    content_.sealed.pieces = described.pieces;
    content_.sealed.hints = described.hints;
    if (met_) {
      push_.parts.local_proofs->described(*met_, described);
      push_.parts.local_proofs->remember();  // now, while others are on their way
    }
  }

  const FilePush& push_;
  const std::string path_;
  const model::File& file_;
  std::optional<transfer::LocalProofs::Met> met_;
  PushedContent content_;
};

}  // namespace

const formats::SealedFile* Before::same_content(const std::string& path,
                                                const hash::Root& root,
                                                const hash::Sha256Digest& sha256) const {
  for (const formats::Seal& seal : seals) {
    for (const formats::SealedFile& file : seal.files) {
      if (file.path == path && file.root == root && file.sha256 == sha256) {
        return &file;
      }
    }
  }
  return nullptr;
}

Result<PushedContent> push_local_file(const Call& call,
                                      const FilePush& push,
                                      const std::string& directory,
                                      const model::File& file) {
  return LocalFilePush(push, directory + "/" + file.path, file).run(call);
}

}  // namespace weighbridge::pack
