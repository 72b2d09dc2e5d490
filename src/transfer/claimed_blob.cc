#include "transfer/claimed_blob.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "formats/seal.h"
#include "store/files.h"

namespace weighbridge::transfer {

using base::Code;
using base::Result;

namespace {

// The roots that kept seals pair with it. A damaged seal names none.
Result<std::set<hash::Root>> claimed_roots(const base::Call& call,
                                           store::Store& store,
                                           const hash::Sha256Digest& sha256) {
  std::set<hash::Root> roots;
  const auto read = [&](const std::string& path, const io::FileInfo&) -> Result<void> {
    TRY(call.check());
    const auto name = hash::Sha256Digest::from_hex(path.substr(path.rfind('/') + 1));
    const auto bytes = name ? store.refs().seal(*name) : Result<std::vector<std::byte>>({});
    const auto seal = formats::parse_seal(bytes.ok() ? *bytes : std::vector<std::byte>());
    for (const formats::SealedFile& file :
         seal.ok() ? seal->files : std::vector<formats::SealedFile>()) {
      if (file.sha256 == sha256) {
        roots.insert(file.root);
      }
    }
    return {};
  };
  TRY(store::each_file(store.home().files(), store.home().path() + "/seals", read));
  return roots;
}

}  // namespace

Result<std::optional<store::BlobFile>> find_by_sha256(const base::Call& call,
                                                      store::Store& store,
                                                      const hash::Sha256Digest& sha256) {
  auto computed = store.blobs().open(call, sha256);
  if (computed.ok() || computed.error().code() != Code::kNotFound) {
    return std::optional(TRY(std::move(computed)));
  }
  for (const hash::Root& root : TRY(claimed_roots(call, store, sha256))) {
    auto blob = store.blobs().open(call, root);
    if (blob.ok() && TRY(store.blobs().compute_sha256(call, *blob)) == sha256) {
      return std::optional(std::move(blob).value());
    }
  }
  return std::optional<store::BlobFile>();
}

}  // namespace weighbridge::transfer
