#include "transfer/resolve.h"

#include <algorithm>
#include <random>
#include <utility>

#include <fmt/format.h>

#include "formats/seal.h"
#include "hash/sha256.h"
#include "sync/retry.h"
#include "transfer/transfer.h"

namespace weighbridge::transfer {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;
using model::Trust;

// Runs `once` until it succeeds, as often as may help. A seal that does not parse may have been
// hurt on its way, so kCorrupt is tried again too, less often.
template <typename Once>
auto persistently(const Call& call, Once&& once) -> decltype(once()) {
  const sync::Retry retry({.max_tries = Transfer::kTries},
                          sync::seeded_random(std::random_device{}()));
  return retry.run(call, [&] {
    auto result = once();
    for (std::size_t tries = 1;
         tries < Transfer::kProofTries && !result.ok() && result.error().code() == Code::kCorrupt;
         ++tries) {
      result = once();
    }
    return result;
  });
}

struct FoundSeal {
  formats::Seal seal;
  hash::Sha256Digest sha256;
};

Result<std::optional<FoundSeal>> fetch_seal(const Call& call, sources::Source& source) {
  const auto bytes = TRY(source.seal(call));
  if (!bytes) {
    return std::optional<FoundSeal>();
  }
  auto seal = formats::parse_seal(*bytes);
  if (!seal.ok()) {
    return std::move(seal).error().in_file(source.printable(formats::kSealName));
  }
  return std::optional<FoundSeal>(FoundSeal{std::move(seal).value(), hash::Sha256::of(*bytes)});
}

// The named file alone, as the seal describes it.
Result<model::Snapshot> one_file_of(model::Snapshot snapshot,
                                    const std::string& name,
                                    const std::string& seal_name) {
  const model::File* const file = snapshot.find(name);
  if (file == nullptr) {
    return Error(Code::kNotFound,
                 fmt::format("the seal beside this file does not list '{}'", base::printable(name)))
        .in_file(seal_name)
        .with_hint("Seal the directory again, or remove the stale seal.");
  }
  snapshot.files = {model::File(*file)};
  snapshot.content_id = model::content_id(snapshot.files);
  return snapshot;
}

// One file, named alone.
Result<model::Snapshot> resolve_file(const Call& call,
                                     sources::Source& source,
                                     const model::Ref& ref,
                                     const std::string& name,
                                     std::optional<FoundSeal> found) {
  const auto& sha256 = ref.pinned_sha256();
  const auto& root = ref.pinned_root();
  const bool seal_is_pinned = found && sha256 && found->sha256 == *sha256;
  if (found && (seal_is_pinned || (!sha256 && !root))) {
    const Trust trust = seal_is_pinned ? Trust::kPinned : source.seal_trust();
    model::Snapshot all =
        formats::snapshot_of(std::move(found->seal), ref.printable(), found->sha256, trust);
    return one_file_of(std::move(all), name, source.printable(formats::kSealName));
  }
  model::Snapshot snapshot;
  snapshot.origin = ref.printable();
  snapshot.listed = true;
  model::File file = TRY(find(call, source, name));
  file.sha256 = sha256;
  file.root = root;
  file.trust = sha256 || root ? Trust::kPinned : Trust::kNone;
  if (root && found) {
    // Pieces that merge to the pinned root are right whoever lists them.
    for (formats::SealedFile& sealed : found->seal.files) {
      if (sealed.path == name && sealed.root == *root) {
        file.size = sealed.size;
        file.pieces = std::move(sealed.pieces);
      }
    }
  }
  snapshot.files.push_back(std::move(file));
  snapshot.content_id = model::content_id(snapshot.files);
  return snapshot;
}

Error seal_differs(const hash::Sha256Digest& pinned,
                   const hash::Sha256Digest& found,
                   std::string seal_name) {
  return Error(Code::kCorrupt,
               fmt::format("the seal is not the pinned one (SHA-256): expected {}, found {}",
                           pinned.hex(),
                           found.hex()))
      .in_file(std::move(seal_name));
}

Result<model::Snapshot> resolve_directory(const Call& call,
                                          sources::Source& source,
                                          const model::Ref& ref,
                                          std::optional<FoundSeal> found) {
  if (ref.pinned_root()) {
    return Error(Code::kInvalid, "#blake3= pins a single file, and this is a directory")
        .in_file(ref.printable())
        .with_hint("Pin a directory by the SHA-256 of its seal: #sha256=<hex>.");
  }
  const auto& pin = ref.pinned_sha256();
  const std::string seal_name = source.printable(formats::kSealName);
  if (found) {
    if (pin && found->sha256 != *pin) {
      return seal_differs(*pin, found->sha256, seal_name);
    }
    return formats::snapshot_of(std::move(found->seal),
                                ref.printable(),
                                found->sha256,
                                pin ? Trust::kPinned : source.seal_trust());
  }
  if (pin) {
    return Error(Code::kNotFound, "the reference pins a seal, and there is none")
        .in_file(seal_name);
  }
  model::Snapshot snapshot;
  snapshot.origin = ref.printable();
  auto listing = TRY(persistently(call, [&] { return source.list(call); }));
  if (listing) {
    snapshot.files = std::move(listing->files);
    snapshot.refused = std::move(listing->refused);
    snapshot.listed = true;
  }
  return snapshot;
}

}  // namespace

Result<model::Snapshot> resolve(const Call& call, sources::Source& source, const model::Ref& ref) {
  const std::string single = TRY(persistently(call, [&] { return source.single_file(call); }));
  auto seal = persistently(call, [&] { return fetch_seal(call, source); });
  if (!seal.ok()) {
    return std::move(seal).error().context("reading the seal");
  }
  std::optional<FoundSeal> found = std::move(seal).value();
  if (single.empty()) {
    return resolve_directory(call, source, ref, std::move(found));
  }
  return resolve_file(call, source, ref, single, std::move(found));
}

Result<model::File> find(const Call& call, sources::Source& source, std::string_view path) {
  return persistently(call, [&] { return source.find(call, path); });
}

}  // namespace weighbridge::transfer
