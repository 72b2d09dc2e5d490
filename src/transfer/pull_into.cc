#include "transfer/pull_into.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "formats/seal.h"
#include "hash/hash_tree.h"
#include "hash/sha256.h"
#include "model/ref.h"
#include "sources/file_source.h"
#include "store/copies.h"
#include "store/partial.h"
#include "transfer/copy_blob.h"
#include "transfer/delta.h"
#include "transfer/make_seal.h"
#include "transfer/store_sink.h"
#include "transfer/target_directory.h"

namespace weighbridge::transfer {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;
using model::Method;
using model::Trust;

// Files that are open at once, each with up to three descriptors; and that become durable together.
constexpr std::size_t kBatchFiles = 200;
constexpr std::size_t kMaxNamed = 20;  // of what is in the way, in an error

// Can a later pull know that it is about the same bytes?
bool is_identified(const model::File& file) {
  return file.root || file.sha256 || file.validator != model::Validator();
}

// Names the partial file of this revision of a file.
hash::Root id_of(const model::File& file, const std::string& identity) {
  std::string text = file.path + '\0';
  if (file.root) {
    text += "root " + file.root->hex();
  } else if (file.sha256) {
    text += "sha256 " + file.sha256->hex();
  } else {
    text += "seen " + identity + '\0' + file.validator.etag + '\0' + file.validator.last_modified;
  }
  text += fmt::format("{}{}", '\0', file.size);
  return hash::hash_bytes(std::as_bytes(std::span(text)));
}

// Does only the whole prove it?
bool is_proved_whole(const model::File& file) {
  const Method method = file.method();
  return hash::piece_count(file.size) > 1 && (method == Method::kRoot || method == Method::kSha256);
}

Error mismatch(const model::File& file,
               std::string_view kind,
               std::string_view expected,
               std::string_view found) {
  return Error(Code::kCorrupt,
               fmt::format("{} is not what was named ({} of the file): expected {}, found {}",
                           base::printable(file.path),
                           kind,
                           expected,
                           found))
      .in_file(base::printable(file.path));
}

Result<hash::Sha256Digest> sha256_of(const Call& call, store::Partial& partial) {
  constexpr std::uint64_t kReadBytes = 4 * base::kMiB;
  const std::uint64_t size = partial.file().size;
  std::vector<std::byte> buffer(std::min(size, kReadBytes));
  hash::Sha256 hasher;
  for (std::uint64_t at = 0; at < size;) {
    TRY(call.check());
    const auto bytes = std::span(buffer).first(std::min(size - at, kReadBytes));
    TRY(partial.read(at, bytes));
    hasher.update(bytes);
    at += bytes.size();
  }
  return hasher.finish();
}

std::uint64_t missing_bytes_of(const store::Partial& partial) {
  std::uint64_t bytes = 0;
  for (const base::Range& range : partial.missing()) {
    bytes += range.size();
  }
  return bytes;
}

// One pull. Confined.
class PullInto {
 public:
  PullInto(const Call& call,
           const PullIntoParts& parts,
           const Resolved& resolved,
           const PullIntoOptions& options,
           PullProgress& progress)
      : call_(call), parts_(parts), resolved_(resolved), options_(options), progress_(progress) {}

  Result<PulledInto> run() {
    TRY(check_content(resolved_.snapshot.content_id));
    store::Proofs* const proofs = parts_.store == nullptr ? nullptr : &parts_.store->proofs();
    target_ = TRY(TargetDirectory::open(parts_.directory, proofs));
    TRY(target_->check_names(files()));
    TRY(survey());
    TRY(target_->keep_only(ids_to_fetch()));
    for (std::size_t at = 0; at < to_fetch_.size(); at += kBatchFiles) {
      const std::size_t end = std::min(at + kBatchFiles, to_fetch_.size());
      TRY(fetch(std::span(to_fetch_).subspan(at, end - at)));
    }
    for (const std::size_t i : wrong_bits_) {
      TRY(target_->set_executable(files()[i]));
    }
    if (options_.all) {
      auto others = TRY(target_->remove_others(call_, resolved_.snapshot));
      done_.removed = std::move(others.removed);
      done_.left = std::move(others.left);
    }
    done_.content_id = *model::content_id(with_roots());
    TRY(check_content(done_.content_id));
    const std::vector<std::byte> seal = TRY(make_seal_bytes());
    TRY(target_->finish(seal));
    done_.seal_sha256 = hash::Sha256::of(seal);
    return std::move(done_);
  }

 private:
  // A file that is being fetched.
  struct Fetch {
    std::size_t index = 0;
    hash::Root id;
    std::unique_ptr<store::Partial> partial;
    std::uint64_t missing_bytes = 0;  // before anything was copied
    bool peeked = false;              // proved by us, when it is whole
  };

  const std::vector<model::File>& files() const { return resolved_.snapshot.files; }

  hash::Root id(std::size_t i) const {
    return id_of(files()[i], parts_.origin.identity(files()[i].path));
  }

  // Of what is known of it so far.
  Result<void> check_content(const std::optional<hash::Root>& found) const;
  Result<void> survey();
  Result<void> take_stock(std::size_t i);
  std::set<std::string> ids_to_fetch() const;

  Result<void> fetch(std::span<const std::size_t> batch);
  Result<Fetch> begin(std::size_t i);
  Result<void> copy(std::span<Fetch> fetches);
  Result<void> copy_parts(std::span<const formats::SealedFile* const> wanted,
                          std::span<store::Partial* const> partials);
  Result<void> run_engine(std::span<const Fetch> fetches, StoreSink& sink, bool peeked);
  Result<hash::Root> check(const Fetch& fetch, const StoreSink& sink);
  Result<void> publish(std::span<const Fetch> fetches, const StoreSink& sink);

  std::vector<model::File> with_roots() const;
  const formats::SealedFile* sealed(const std::string& path) const;
  Result<std::vector<std::byte>> make_seal_bytes();
  Result<std::vector<std::byte>> compute_seal();

  const Call& call_;
  const PullIntoParts& parts_;
  const Resolved& resolved_;
  const PullIntoOptions& options_;
  PullProgress& progress_;
  std::unique_ptr<TargetDirectory> target_;
  std::vector<std::size_t> to_fetch_;
  std::vector<std::size_t> wrong_bits_;  // there, but for the executable bit
  std::map<std::size_t, hash::Root> roots_;
  PulledInto done_;
};

Result<void> PullInto::check_content(const std::optional<hash::Root>& found) const {
  if (!options_.content_id || !found || *found == *options_.content_id) {
    return {};
  }
  return Error(Code::kConflict,
               fmt::format("{} is not what it must be (content_id): expected {}, found {}",
                           resolved_.snapshot.origin,
                           options_.content_id->hex(),
                           found->hex()))
      .in_file(resolved_.snapshot.origin);
}

// Looks at everything before anything is changed, and names all that is in the way.
Result<void> PullInto::survey() {
  std::vector<Error> in_the_way;
  done_.files = files().size();
  done_.trust = Trust::kPinned;
  for (std::size_t i = 0; i < files().size(); ++i) {
    const model::File& file = files()[i];
    done_.bytes += file.size;
    done_.trust =
        std::min(done_.trust, file.method() == Method::kNothing ? Trust::kFirstSeen : file.trust);
    auto looked = take_stock(i);
    if (!looked.ok()) {
      const Code code = looked.error().code();
      if (code != Code::kExists && code != Code::kDenied) {
        return looked;
      }
      in_the_way.push_back(std::move(looked).error());
    }
  }
  progress_.files = done_.files;
  progress_.bytes = done_.bytes;
  if (in_the_way.size() < 2) {
    return in_the_way.empty() ? Result<void>() : std::move(in_the_way.front());
  }
  std::string names;
  for (std::size_t i = 0; i < std::min(in_the_way.size(), kMaxNamed); ++i) {
    names += fmt::format("{}{}", i == 0 ? "" : ", ", in_the_way[i].file().value_or(""));
  }
  const std::string more = in_the_way.size() > kMaxNamed ? ", ..." : "";
  return std::move(in_the_way.front())
      .context(
          fmt::format("{} files are in the way ({}{}); the first", in_the_way.size(), names, more));
}

Result<void> PullInto::take_stock(std::size_t i) {
  const model::File& file = files()[i];
  const auto known_by = is_identified(file) ? std::optional(id(i)) : std::nullopt;
  const auto standing = TRY(target_->look_at(call_, file, known_by));
  if (!standing.is_there) {
    to_fetch_.push_back(i);
    return {};
  }
  roots_.emplace(i, *standing.root);
  done_.present_bytes += file.size;
  progress_.there_bytes += file.size;
  ++progress_.files_done;
  if (resolved_.snapshot.listed && standing.executable != file.executable) {
    wrong_bits_.push_back(i);
  }
  return {};
}

std::set<std::string> PullInto::ids_to_fetch() const {
  std::set<std::string> ids;
  for (const std::size_t i : to_fetch_) {
    ids.insert(id(i).hex());
  }
  return ids;
}

Result<void> PullInto::fetch(std::span<const std::size_t> batch) {
  std::vector<Fetch> fetches;
  for (const std::size_t i : batch) {
    auto begun = begin(i);
    if (!begun.ok()) {
      // What was reserved for nothing yet is given back: somebody needs the room.
      for (const Fetch& fetch : fetches) {
        const auto missing = fetch.partial->missing();
        if (missing.size() == 1 && missing.front().size() == fetch.partial->file().size) {
          fetch.partial->discard();
        }
      }
      return std::move(begun).error();
    }
    fetches.push_back(std::move(begun).value());
  }
  StoreSink sink(progress_);
  TRY(copy(fetches));
  for (Fetch& fetch : fetches) {
    const model::File& file = files()[fetch.index];
    const auto missing = fetch.partial->missing();
    const bool has_some = missing.size() != 1 || missing.front().size() != file.size;
    fetch.peeked = is_proved_whole(file) && has_some;
    sink.add(file, *fetch.partial, is_proved_whole(file) && !fetch.peeked);
  }
  auto ran = run_engine(fetches, sink, false);
  if (ran.ok()) {
    ran = run_engine(fetches, sink, true);
  }
  auto written = sink.finish();
  TRY(std::move(ran));
  TRY(std::move(written));
  return publish(fetches, sink);
}

Result<PullInto::Fetch> PullInto::begin(std::size_t i) {
  const model::File& file = files()[i];
  Fetch fetch{.index = i, .id = id(i), .partial = nullptr};
  const auto admit = [](std::uint64_t, const store::Partial::Take& take) { return take(); };
  const auto place = target_->place_of(fetch.id, is_identified(file));
  auto opened = store::Partial::try_open(parts_.directory, place, file, admit);
  if (!opened.ok()) {
    const bool is_full = opened.error().code() == Code::kExhausted;
    Error error =
        std::move(opened).error().context("making room for " + base::printable(file.path));
    return is_full ? std::move(error).with_hint(
                         "Nothing that was there is lost. Free some space, and pull again.")
                   : std::move(error);
  }
  fetch.partial = std::move(opened).value();
  if (fetch.partial == nullptr) {
    return Error(Code::kBusy, "somebody else writes " + base::printable(file.path));
  }
  return fetch;
}

// What need not be fetched.
Result<void> PullInto::copy(std::span<Fetch> fetches) {
  std::vector<const formats::SealedFile*> wanted;
  std::vector<store::Partial*> partials;
  for (Fetch& fetch : fetches) {
    store::Partial& partial = *fetch.partial;
    fetch.missing_bytes = missing_bytes_of(partial);
    done_.present_bytes += partial.file().size - fetch.missing_bytes;
    if (parts_.store != nullptr && fetch.missing_bytes > 0) {
      TRY(copy_blob(call_, parts_.store->blobs(), partial));
    }
    const formats::SealedFile* const one = sealed(partial.file().path);
    if (one != nullptr && !one->pieces.empty() && !partial.missing().empty()) {
      wanted.push_back(one);
      partials.push_back(&partial);
    }
  }
  TRY(copy_parts(wanted, partials));
  for (const Fetch& fetch : fetches) {
    const std::uint64_t missing = missing_bytes_of(*fetch.partial);
    done_.copied_bytes += fetch.missing_bytes - missing;
    progress_.began(fetch.partial->file(), fetch.partial->file().size - missing);
  }
  return {};
}

Result<void> PullInto::copy_parts(std::span<const formats::SealedFile* const> wanted,
                                  std::span<store::Partial* const> partials) {
  if (parts_.store != nullptr && !wanted.empty()) {
    store::Store& store = *parts_.store;
    const auto copies =
        TRY(store::find_copies(call_, store.home(), store.blobs(), store.refs(), wanted));
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      TRY(use_copies(call_, store, *wanted[i], *partials[i], copies[i]));
    }
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (!partials[i]->missing().empty()) {
      TRY(take_copies_of(call_, parts_.directory, target_->earlier(), *wanted[i], *partials[i]));
    }
  }
  return {};
}

Result<void> PullInto::run_engine(std::span<const Fetch> fetches, StoreSink& sink, bool peeked) {
  std::vector<Want> wants;
  for (const Fetch& fetch : fetches) {
    if (fetch.peeked == peeked) {
      for (const base::Range& range : fetch.partial->missing()) {
        wants.push_back({fetch.index, range});
      }
    }
  }
  if (wants.empty()) {
    return {};
  }
  const std::uint64_t before = progress_.transfer.received_bytes;
  auto report = parts_.transfer.run(call_,
                                    {parts_.origin, resolved_.snapshot, wants},
                                    sink,
                                    progress_.transfer,
                                    {.peek = peeked, .hash_always = true});
  done_.fetched_bytes += progress_.transfer.received_bytes - before;
  return report.ok() ? Result<void>() : std::move(report).error();
}

// What the engine has not proved: pieces of an earlier try, copies.
Result<hash::Root> PullInto::check(const Fetch& fetch, const StoreSink& sink) {
  const model::File& file = files()[fetch.index];
  const auto root = fetch.partial->root();
  if (!root) {
    return Error(Code::kInternal, "pieces are missing: " + base::printable(file.path));
  }
  if (file.root && *root != *file.root) {
    fetch.partial->discard();
    return mismatch(file, "BLAKE3", file.root->hex(), root->hex());
  }
  if (!file.root && file.sha256 && !sink.is_proved_whole(file)) {
    const auto sha256 = TRY(sha256_of(call_, *fetch.partial));
    if (sha256 != *file.sha256) {
      fetch.partial->discard();
      return mismatch(file, "SHA-256", file.sha256->hex(), sha256.hex());
    }
  }
  return *root;
}

Result<void> PullInto::publish(std::span<const Fetch> fetches, const StoreSink& sink) {
  std::vector<TargetDirectory::Complete> complete;
  for (const Fetch& fetch : fetches) {
    const hash::Root root = TRY(check(fetch, sink));
    roots_.emplace(fetch.index, root);
    complete.push_back({*fetch.partial, fetch.id, root});
  }
  TRY(target_->publish(complete));
  for (const Fetch& fetch : fetches) {
    progress_.ended(files()[fetch.index].path, true);
  }
  return {};
}

std::vector<model::File> PullInto::with_roots() const {
  std::vector<model::File> all = files();
  for (const auto& [i, root] : roots_) {
    all[i].root = root;
  }
  return all;
}

const formats::SealedFile* PullInto::sealed(const std::string& path) const {
  if (!resolved_.seal) {
    return nullptr;
  }
  const auto& all = resolved_.seal->files;
  const auto found = std::ranges::lower_bound(all, path, {}, &formats::SealedFile::path);
  return found != all.end() && found->path == path ? &*found : nullptr;
}

Result<std::vector<std::byte>> PullInto::make_seal_bytes() {
  if (!resolved_.seal) {
    return compute_seal();
  }
  if (resolved_.seal->files.size() == files().size()) {
    return resolved_.seal_bytes;
  }
  formats::Seal part;
  for (const model::File& file : files()) {
    if (const formats::SealedFile* const one = sealed(file.path)) {
      part.files.push_back(*one);
    }
  }
  return part.files.size() == files().size() ? formats::write_seal(part) : compute_seal();
}

// Reads what stands there, which must be what was proved.
Result<std::vector<std::byte>> PullInto::compute_seal() {
  const auto here = TRY(model::Ref::parse("./"));
  const auto source = TRY(sources::open_file_source(parts_.directory, here));
  sources::Listing listing;
  for (const model::File& file : files()) {
    listing.files.push_back(TRY(source->find(call_, file.path)));
  }
  Progress reading;
  const formats::Seal seal = TRY(make_seal(call_, *source, listing, reading));
  for (const auto& [i, root] : roots_) {
    if (seal.files[i].root != root) {
      return Error(Code::kConflict,
                   base::printable(files()[i].path) + " was changed while it was sealed")
          .in_file(base::printable(files()[i].path));
    }
  }
  return formats::write_seal(seal);
}

}  // namespace

Result<PulledInto> pull_into(const Call& call,
                             const PullIntoParts& parts,
                             const Resolved& resolved,
                             const PullIntoOptions& options,
                             PullProgress& progress) {
  return PullInto(call, parts, resolved, options, progress).run();
}

}  // namespace weighbridge::transfer
