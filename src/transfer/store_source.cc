#include "transfer/store_source.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "formats/seal.h"
#include "hash/hash_tree.h"
#include "sources/range_reader.h"
#include "store/snapshots.h"
#include "sync/guarded.h"
#include "transfer/blob_proofs.h"
#include "transfer/claimed_blob.h"

namespace weighbridge::transfer {

using base::Call;
using base::Code;
using base::Error;
using base::Result;
using sources::LocalFile;

namespace {

// Which blob a file of this Ref is, as far as its seal, its pin or an earlier pull says.
struct KnownFile {
  hash::Root root;
  std::uint64_t size = 0;
  bool executable = false;
};

using Lease = std::shared_ptr<const store::BlobFile>;

// Is it still what its name says? Reads all of it.
Result<bool> is_rotten(const Call& call, const store::BlobFile& blob) {
  std::vector<hash::ChainingValue> values;
  std::vector<std::byte> buffer(hash::kPieceBytes);
  for (std::uint64_t piece = 0; piece < hash::piece_count(blob.size()); ++piece) {
    TRY(call.check());
    const auto value = store::hash_piece(blob.file(), piece, blob.size(), buffer);
    if (!value.ok()) {
      return true;
    }
    values.push_back(*value);
  }
  return store::root_of(values) != blob.root();
}

bool says_absent(const Error& error) {
  return error.code() == Code::kNotFound || error.code() == Code::kDenied;
}

class Impl final : public StoreSource {
 public:
  Impl(store::Store& store,
       sources::Source* origin,
       const model::Ref& ref,
       Options options,
       std::optional<store::RefRecord> record,
       std::map<std::string, KnownFile, std::less<>> earlier)
      : store_(store),
        origin_(origin),
        ref_(ref),
        options_(options),
        record_(std::move(record)),
        earlier_(std::move(earlier)) {}

  Result<std::string> single_file(const Call& call) override {
    return origin_ == nullptr ? Result<std::string>(std::string()) : origin_->single_file(call);
  }

  Result<std::optional<std::vector<std::byte>>> seal(const Call& call) override;

  // As the origin holds it, or held it when it was pulled.
  model::Trust seal_trust() const override {
    return may_ask() ? origin_->seal_trust() : record_ ? record_->trust : model::Trust::kOrigin;
  }

  Result<std::optional<sources::Listing>> list(const Call& call) override;
  Result<model::File> find(const Call& call, std::string_view path) override;
  Result<std::optional<LocalFile>> local(const Call& call, std::string_view path) override;
  Result<bool> tells_changes(const Call& call,
                             std::string_view path,
                             const LocalFile& local) override;
  Result<void> read(const Call& call,
                    const model::File& file,
                    base::Range range,
                    base::BodySink& sink) override;

  std::string printable(std::string_view path) const override {
    return origin_ == nullptr ? ref_.printable() + "/" + base::printable(path)
                              : origin_->printable(path);
  }

  std::string identity(std::string_view path) const override {
    return origin_ == nullptr ? ref_.text() + "/" + std::string(path) : origin_->identity(path);
  }

  std::size_t max_connections() const override {
    return is_local_ || !may_ask() ? sources::kDiskReaders : origin_->max_connections();
  }

  std::size_t first_connections() const override {
    return is_local_ || !may_ask() ? sources::kDiskReaders : origin_->first_connections();
  }

  std::optional<sources::LocalReads> local_reads() const override { return reads_.so_far(); }

  std::optional<GivenSeal> given_seal() const override {
    return given_.with([](const std::optional<GivenSeal>& given) { return given; });
  }

 private:
  using Seal = std::optional<std::vector<std::byte>>;

  bool may_ask() const { return origin_ != nullptr && !options_.offline; }

  const store::RefRecord::Noted* noted(std::string_view path) const;
  bool is_as_noted(const model::File& found) const;
  Result<Seal> kept_seal(const model::Validator& validator);
  Result<Seal> give(std::vector<std::byte> bytes, model::Validator validator);
  // Does the store have the very file that the Ref pins?
  Result<bool> has_pinned_file(const Call& call);
  void know(const std::string& path, const KnownFile& file);
  Error not_in_store(std::string_view path) const;
  // Null if it is to be read from the origin.
  Result<Lease> lease(const Call& call, const std::string& path);
  Result<void> read_blob(const Call& call,
                         const store::BlobFile& blob,
                         const model::File& file,
                         base::Range range,
                         base::BodySink& sink);
  Result<void> read_origin(const Call& call,
                           const model::File& file,
                           base::Range range,
                           base::BodySink& sink);
  // What a sink says that does not believe what the blob gave.
  Result<void> doubt(const Call& call, const std::string& path, const Lease& blob);

  store::Store& store_;
  sources::Source* const origin_;
  const model::Ref ref_;
  const Options options_;
  const std::optional<store::RefRecord> record_;
  // The files of the snapshot that the Ref resolved to.
  const std::map<std::string, KnownFile, std::less<>> earlier_;

  struct Files {
    std::map<std::string, KnownFile, std::less<>> known;
    std::map<std::string, Lease> leases;
    std::set<std::string> from_origin;  // whatever blobs there are
  };

  sources::LocalReadCounts reads_;
  sync::Guarded<Files> files_;
  sync::Guarded<std::optional<GivenSeal>> given_;
  std::atomic<bool> is_local_ = false;  // all that is known is in the store
};

const store::RefRecord::Noted* Impl::noted(std::string_view path) const {
  if (!record_) {
    return nullptr;
  }
  const auto found = std::ranges::find(record_->files, path, &store::RefRecord::Noted::path);
  return found == record_->files.end() ? nullptr : &*found;
}

bool Impl::is_as_noted(const model::File& found) const {
  const store::RefRecord::Noted* const before = noted(found.path);
  return before != nullptr && before->validator != model::Validator() &&
         before->validator == found.validator && before->size == found.size;
}

void Impl::know(const std::string& path, const KnownFile& file) {
  files_.with([&](Files& files) { files.known.insert_or_assign(path, file); });
}

Error Impl::not_in_store(std::string_view path) const {
  return Error(Code::kNotFound,
               origin_ == nullptr
                   ? "the store does not have this file"
                   : "the store does not have this file, and --offline forbids to ask")
      .in_file(printable(path))
      .with_hint("`weighbridge pull` it where there is a network.");
}

Result<Impl::Seal> Impl::give(std::vector<std::byte> bytes, model::Validator validator) {
  auto seal = formats::parse_seal(bytes);
  bool is_local = seal.ok();  // if not, who asked says why
  if (seal.ok()) {
    files_.with([&](Files& files) {
      for (const formats::SealedFile& file : seal->files) {
        files.known.insert_or_assign(file.path, KnownFile{file.root, file.size, file.executable});
      }
    });
    is_local = std::ranges::all_of(seal->files, [&](const formats::SealedFile& file) {
      return store_.home().files().info(store_.home().blob(file.root)).ok();
    });
  }
  is_local_ = is_local;
  given_.with([&](auto& given) { given = GivenSeal{bytes, std::move(validator)}; });
  return Seal(std::move(bytes));
}

Result<Impl::Seal> Impl::kept_seal(const model::Validator& validator) {
  if (!record_ || !record_->seal_sha256) {
    return Seal();
  }
  return give(TRY(store_.refs().seal(*record_->seal_sha256)), validator);
}

Result<bool> Impl::has_pinned_file(const Call& call) {
  const std::string single = TRY(single_file(call));
  if (single.empty() || (!ref_.pinned_root() && !ref_.pinned_sha256())) {
    return false;
  }
  std::optional<store::BlobFile> blob;
  if (ref_.pinned_root()) {
    auto opened = store_.blobs().open(call, *ref_.pinned_root());
    if (!opened.ok() && opened.error().code() != Code::kNotFound) {
      return std::move(opened).error();
    }
    if (opened.ok()) {
      blob.emplace(std::move(opened).value());
    }
  } else {
    blob = TRY(find_by_sha256(call, store_, *ref_.pinned_sha256()));
  }
  if (blob) {
    know(single, {blob->root(), blob->size(), false});
    is_local_ = true;
  }
  return blob.has_value();
}

Result<Impl::Seal> Impl::seal(const Call& call) {
  if (ref_.pinned_sha256()) {
    auto kept = store_.refs().seal(*ref_.pinned_sha256());
    if (kept.ok()) {
      return give(std::move(kept).value(), {});
    }
  }
  if (TRY(has_pinned_file(call))) {
    return Seal();
  }
  if (!may_ask()) {
    return kept_seal({});
  }
  model::Validator validator;
  const bool was_sealed = record_ && record_->seal_sha256;
  if (options_.note_validators || (was_sealed && noted(formats::kSealName) != nullptr)) {
    auto found = origin_->find(call, formats::kSealName);
    if (!found.ok() && !says_absent(found.error())) {
      return std::move(found).error();
    }
    if (found.ok() && was_sealed && is_as_noted(*found)) {
      auto kept = kept_seal(found->validator);
      if (kept.ok()) {
        return kept;
      }
    }
    validator = found.ok() ? found->validator : model::Validator();
  }
  auto bytes = TRY(origin_->seal(call));
  return bytes ? give(*std::move(bytes), std::move(validator)) : Result<Seal>(Seal());
}

Result<std::optional<sources::Listing>> Impl::list(const Call& call) {
  if (may_ask()) {
    auto listing = TRY(origin_->list(call));
    for (const model::File& file : listing ? listing->files : std::vector<model::File>()) {
      const auto before = earlier_.find(file.path);
      if (before != earlier_.end() && is_as_noted(file)) {
        know(file.path, before->second);
      }
    }
    return listing;
  }
  if (earlier_.empty()) {
    return std::optional<sources::Listing>();
  }
  sources::Listing listing;
  for (const auto& [path, file] : earlier_) {
    listing.files.push_back(TRY(find(call, path)));
  }
  return std::optional(std::move(listing));
}

Result<model::File> Impl::find(const Call& call, std::string_view path) {
  model::File file;
  file.path = std::string(path);
  const auto before = earlier_.find(path);
  const auto known = files_.with([&](const Files& files) -> std::optional<KnownFile> {
    const auto found = files.known.find(path);
    return found == files.known.end() ? std::nullopt : std::optional(found->second);
  });
  if (known || !may_ask()) {
    if (!known && before == earlier_.end()) {
      return not_in_store(path);
    }
    const KnownFile& what = known ? *known : before->second;
    file.size = what.size;
    file.executable = what.executable;
    const store::RefRecord::Noted* const said = noted(path);
    file.validator = said == nullptr ? model::Validator() : said->validator;
    know(file.path, what);
    return file;
  }
  file = TRY(origin_->find(call, path));
  if (before != earlier_.end() && is_as_noted(file)) {
    know(file.path, before->second);
  }
  return file;
}

Result<Lease> Impl::lease(const Call& call, const std::string& path) {
  constexpr std::size_t kMaxLeases = 128;
  std::optional<KnownFile> known;
  const Lease held = files_.with([&](const Files& files) -> Lease {
    const auto found = files.known.find(path);
    if (files.from_origin.contains(path) || found == files.known.end()) {
      return nullptr;
    }
    known = found->second;
    const auto lease = files.leases.find(path);
    return lease == files.leases.end() ? nullptr : lease->second;
  });
  if (held != nullptr || !known) {
    return held;
  }
  auto opened = store_.blobs().open(call, known->root);
  if (!opened.ok()) {
    return opened.error().code() == Code::kNotFound ? Result<Lease>(nullptr)
                                                    : std::move(opened).error();
  }
  auto lease = std::make_shared<const store::BlobFile>(std::move(opened).value());
  files_.with([&](Files& files) {
    if (files.leases.size() >= kMaxLeases) {
      files.leases.clear();
    }
    files.leases.insert_or_assign(path, lease);
  });
  return Lease(std::move(lease));
}

Result<std::optional<LocalFile>> Impl::local(const Call& call, std::string_view path) {
  const Lease blob = TRY(lease(call, std::string(path)));
  if (blob != nullptr) {
    return std::optional(TRY(local_file_of(*blob)));
  }
  return may_ask() ? origin_->local(call, path) : std::optional<LocalFile>();
}

Result<bool> Impl::tells_changes(const Call& call, std::string_view path, const LocalFile& local) {
  if (!is_of_blob(local.validator)) {
    return may_ask() ? origin_->tells_changes(call, path, local) : Result<bool>(false);
  }
  // Whoever writes to a blob all the same does so as any other writer does: its time moves.
  const Lease blob = TRY(lease(call, std::string(path)));
  return blob != nullptr && TRY(local_file_of(*blob)).validator == local.validator;
}

Result<void> Impl::read(const Call& call,
                        const model::File& file,
                        base::Range range,
                        base::BodySink& sink) {
  const Lease blob = TRY(lease(call, file.path));
  if (blob == nullptr || blob->size() != file.size) {
    return read_origin(call, file, range, sink);
  }
  auto read = read_blob(call, *blob, file, range, sink);
  const bool is_held_to_digest = file.root || file.sha256;
  if (!read.ok() && read.error().code() == Code::kCorrupt && is_held_to_digest) {
    TRY(doubt(call, file.path, blob));
  }
  return read;
}

Result<void> Impl::read_blob(const Call& call,
                             const store::BlobFile& blob,
                             const model::File& file,
                             base::Range range,
                             base::BodySink& sink) {
  const std::string path = store_.home().blob(blob.root());
  const Error changed = Error(Code::kConflict, "the blob changed while it was read")
                            .in_file(path)
                            .with_hint("`weighbridge scrub` finds out whether it is whole.");
  const LocalFile local = TRY(local_file_of(blob));
  if (is_of_blob(file.validator) && local.validator != file.validator) {
    return changed.copy();
  }
  sources::RangeReader reader(blob.file(), range, reads_);
  for (std::uint64_t offset = range.begin; offset < range.end;) {
    TRY(call.check());
    const std::span<std::byte> window = sink.window();
    if (window.empty()) {
      return {};
    }
    const std::size_t bytes = TRY(reader.read(offset, window));
    if (bytes == 0) {
      return Error(Code::kCorrupt, fmt::format("the blob ends at byte {}", offset)).in_file(path);
    }
    if (TRY(blob.file().info()).mtime_ns != local.info.mtime_ns) {
      return changed.copy();
    }
    TRY(sink.landed(bytes));
    offset += bytes;
  }
  return {};
}

Result<void> Impl::read_origin(const Call& call,
                               const model::File& file,
                               base::Range range,
                               base::BodySink& sink) {
  if (!may_ask()) {
    return not_in_store(file.path);
  }
  if (!is_of_blob(file.validator)) {
    return origin_->read(call, file, range, sink);
  }
  if (!file.root && !file.sha256) {
    // It was to be read unhashed, as a blob that had been hashed before.
    return Error(Code::kConflict, "the blob was evicted while it was being read")
        .in_file(printable(file.path))
        .with_hint("Try again: it will be fetched.");
  }
  model::File asked = file;
  asked.validator = {};
  return origin_->read(call, asked, range, sink);
}

Result<void> Impl::doubt(const Call& call, const std::string& path, const Lease& blob) {
  if (!TRY(is_rotten(call, *blob))) {
    return {};
  }
  const auto moved = store_.space().quarantine(call, blob->root());
  if (!moved.ok() && moved.error().code() != Code::kNotFound) {
    return moved.error().copy();
  }
  is_local_ = false;
  files_.with([&](Files& files) {
    files.from_origin.insert(path);
    files.leases.erase(path);
  });
  return {};
}

}  // namespace

Result<std::unique_ptr<StoreSource>> StoreSource::open(store::Store& store,
                                                       sources::Source* origin,
                                                       const model::Ref& ref,
                                                       Options options) {
  auto record = TRY(store.refs().find(ref));
  const bool is_alone = origin == nullptr || options.offline;
  if (is_alone && !record && !ref.pinned_sha256() && !ref.pinned_root()) {
    return Error(Code::kNotFound,
                 origin == nullptr ? "the store has no model of this name"
                                   : "this was never pulled here, and --offline forbids to ask")
        .in_file(ref.printable())
        .with_hint(origin == nullptr
                       ? "`weighbridge ls` lists what it has; a path can begin with ./"
                       : "`weighbridge pull` it where there is a network.");
  }
  std::map<std::string, KnownFile, std::less<>> earlier;
  if (record && record->content_id && !record->seal_sha256) {
    const auto list = store::read_list(store.home(), *record->content_id);
    for (const store::SnapshotFile& file : list.ok() ? *list : std::vector<store::SnapshotFile>()) {
      earlier.emplace(file.path, KnownFile{file.root, file.size, file.executable});
    }
  }
  return std::unique_ptr<StoreSource>(
      std::make_unique<Impl>(store, origin, ref, options, std::move(record), std::move(earlier)));
}

}  // namespace weighbridge::transfer
