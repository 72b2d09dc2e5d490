#include "transfer/fetch_blobs.h"

#include <algorithm>
#include <utility>

#include <sys/resource.h>

#include "base/text.h"
#include "hash/hash_tree.h"
#include "store/copies.h"
#include "transfer/blob_proofs.h"
#include "transfer/claimed_blob.h"
#include "transfer/delta.h"
#include "transfer/store_sink.h"

namespace weighbridge::transfer {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

namespace {

// A partial's data, the same past the page cache, and its journal.
constexpr std::size_t kDescriptorsOfLarge = 3;
constexpr std::size_t kMostLeases = 64;

// Of those that the process may open, what is left to others: connections, leases, the program.
std::size_t descriptors_of_a_wave() {
  constexpr std::size_t kLeast = 16;
  constexpr std::size_t kMost = 768;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return kLeast;
  }
  return std::clamp<std::size_t>(limit.rlim_cur / 4, kLeast, kMost);
}

std::size_t descriptors_of(const model::File& file) {
  return file.size < hash::kPieceBytes ? 1 : kDescriptorsOfLarge;
}

bool is_single_piece(const model::File& file) {
  return hash::piece_count(file.size) == 1;
}

// Is all of it there, and what was named?
bool is_certain(store::BlobWriter& writer, const model::File& file) {
  const auto root = writer.partial().root();
  return root && ((file.root && *root == *file.root) || writer.sha256() ||
                  file.method() == model::Method::kNothing);
}

}  // namespace

FetchBlobs::FetchBlobs(const Call& call,
                       const PullParts& parts,
                       model::Snapshot& snapshot,
                       const formats::Seal* seal,
                       bool offline,
                       PullProgress& progress)
    : call_(call),
      parts_(parts),
      snapshot_(snapshot),
      seal_(seal),
      offline_(offline),
      progress_(progress),
      descriptors_(descriptors_of_a_wave()) {
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < snapshot_.files.size(); ++i) {
    pending_.push_back(i);
    bytes += file(i).size;
  }
  // Who tries again begins anew.
  progress_.files = snapshot_.files.size();
  progress_.files_done = 0;
  progress_.bytes = bytes;
  progress_.there_bytes = 0;
}

store::Blobs::Wanted FetchBlobs::wanted(std::size_t i) const {
  const model::File& file = snapshot_.files[i];
  return {file,
          parts_.origin == nullptr ? std::string() : parts_.origin->identity(file.path),
          io::Caching::kBypass};
}

Result<FetchBlobs::Counts> FetchBlobs::run() {
  for (std::size_t i = 0; i < snapshot_.files.size(); ++i) {
    take_known_tree(i);
  }
  while (!pending_.empty()) {
    Wave wave = TRY(next_wave());
    auto fetched = fetch(wave);
    if (!fetched.ok()) {
      save(std::move(wave));
      return std::move(fetched).error();
    }
    TRY(commit(call_, std::move(wave)));
  }
  return counts_;
}

void FetchBlobs::take_known_tree(std::size_t i) {
  model::File& file = this->file(i);
  if (file.root || !file.sha256 || is_single_piece(file)) {
    return;
  }
  if (const auto tree = parts_.transfer.trees().find(file)) {
    // Both were computed here from the same bytes, so its pieces prove the SHA-256 too.
    file.root = tree->root;
    file.pieces = tree->pieces;
    known_sha256_.emplace(i, *file.sha256);
  }
}

Result<FetchBlobs::Wave> FetchBlobs::next_wave() {
  Wave wave;
  auto filled = fill(wave);
  if (!filled.ok()) {
    save(std::move(wave));
    return std::move(filled).error();
  }
  return wave;
}

Result<void> FetchBlobs::fill(Wave& wave) {
  std::size_t open = 0;
  std::vector<std::size_t> busy;
  auto next = pending_.begin();
  for (; next != pending_.end() && open < descriptors_; ++next) {
    TRY(call_.check());
    const std::size_t before = wave.size();
    if (!TRY(take(*next, wave))) {
      busy.push_back(*next);
    } else if (wave.size() > before) {
      open += descriptors_of(file(*next));
    }
  }
  busy.insert(busy.end(), next, pending_.end());
  pending_ = std::move(busy);
  if (wave.empty() && !pending_.empty()) {
    const std::size_t first = pending_.front();
    pending_.erase(pending_.begin());
    progress_.transfer.notes.add("waiting for another process that is fetching " +
                                 base::printable(file(first).path));
    TRY(begun(first, TRY(parts_.store.blobs().begin(call_, wanted(first))), wave));
  }
  return {};
}

Error FetchBlobs::missing_offline(std::size_t i) const {
  return Error(Code::kNotFound, "the store does not have this file, and nobody may be asked for it")
      .in_file(base::printable(snapshot_.files[i].path))
      .with_hint("Pull it without --offline, where there is a network.");
}

Result<bool> FetchBlobs::take(std::size_t i, Wave& wave) {
  const model::File& file = this->file(i);
  if (!file.root && file.sha256) {
    if (auto blob = TRY(find_by_sha256(call_, parts_.store, *file.sha256));
        blob && blob->size() == file.size) {
      TRY(have(i, std::move(*blob)));
      return true;
    }
  }
  if (offline_ || parts_.origin == nullptr) {
    auto blob = TRY(parts_.store.blobs().find(call_, wanted(i)));
    if (!blob) {
      return missing_offline(i);
    }
    TRY(have(i, *std::move(blob)));
    return true;
  }
  auto got = TRY(parts_.store.blobs().try_begin(call_, wanted(i)));
  if (!got) {
    return false;
  }
  TRY(begun(i, *std::move(got), wave));
  return true;
}

Result<void> FetchBlobs::begun(std::size_t i, store::Blobs::Begun begun, Wave& wave) {
  if (begun.blob) {
    return have(i, std::move(*begun.blob));
  }
  const model::File& file = this->file(i);
  std::uint64_t missing = 0;
  for (const base::Range& range : begun.writer->partial().missing()) {
    missing += range.size();
  }
  counts_.present_bytes += file.size - missing;
  progress_.began(file, file.size - missing);
  const bool is_begun = missing < file.size;
  const bool only_whole = !is_single_piece(file) && (file.method() == model::Method::kSha256 ||
                                                     file.method() == model::Method::kRoot);
  wave.push_back({i,
                  std::move(begun.writer),
                  file.method() == model::Method::kSha256 && !is_begun,
                  only_whole && is_begun});
  return {};
}

Result<void> FetchBlobs::have(std::size_t i, store::BlobFile blob) {
  model::File& file = this->file(i);
  file.root = blob.root();
  counts_.present_bytes += file.size;
  progress_.there_bytes += file.size;
  ++progress_.files_done;
  if (leases_.size() < kMostLeases) {
    leases_.push_back(std::move(blob));
  }
  return {};
}

// As it is sealed; null if copies of it would prove nothing, or it is too small for them.
const formats::SealedFile* FetchBlobs::sealed(std::size_t i) {
  const model::File& file = this->file(i);
  if (seal_ == nullptr || file.pieces.empty()) {
    return nullptr;
  }
  const auto found =
      std::ranges::lower_bound(seal_->files, file.path, {}, &formats::SealedFile::path);
  const bool is_it =
      found != seal_->files.end() && found->path == file.path && found->root == file.root;
  return is_it ? &*found : nullptr;
}

Result<void> FetchBlobs::copy(Wave& wave) {
  std::vector<const formats::SealedFile*> wanted;
  std::vector<Writing*> writings;
  for (Writing& writing : wave) {
    if (const formats::SealedFile* const file = sealed(writing.file)) {
      wanted.push_back(file);
      writings.push_back(&writing);
    } else if (TRY(take_adopted(parts_.store, writing.writer->partial()))) {
      const model::File& taken = this->file(writing.file);
      counts_.copied_bytes += taken.size;
      progress_.grew(taken.path, taken.size);
    }
  }
  if (wanted.empty()) {
    return {};
  }
  store::Store& store = parts_.store;
  const auto copies =
      TRY(store::find_copies(call_, store.home(), store.blobs(), store.refs(), wanted));
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const std::uint64_t copied =
        TRY(use_copies(call_, store, *wanted[i], writings[i]->writer->partial(), copies[i]));
    counts_.copied_bytes += copied;
    progress_.grew(wanted[i]->path, copied);
  }
  return {};
}

Result<void> FetchBlobs::fetch(Wave& wave) {
  TRY(copy(wave));
  TRY(transfer(wave, false));
  return transfer(wave, true);
}

Result<void> FetchBlobs::transfer(Wave& wave, bool peeked) {
  StoreSink sink(progress_);
  std::vector<Want> wants;
  for (Writing& writing : wave) {
    if (writing.peeked != peeked) {
      continue;
    }
    store::Partial& partial = writing.writer->partial();
    const auto missing = partial.missing();
    for (const base::Range& range : missing) {
      wants.push_back({writing.file, range});
    }
    if (!missing.empty()) {
      sink.add(file(writing.file), partial, writing.whole);
    }
  }
  if (wants.empty()) {
    return {};
  }
  const std::uint64_t before = progress_.transfer.received_bytes;
  // Hashed always: what the store keeps is named by what is hashed here.
  auto ran = parts_.transfer.run(call_,
                                 {*parts_.origin, snapshot_, wants},
                                 sink,
                                 progress_.transfer,
                                 {.peek = peeked, .hash_always = true});
  counts_.fetched_bytes += progress_.transfer.received_bytes - before;
  auto finished = sink.finish();
  for (Writing& writing : wave) {
    const model::File& file = this->file(writing.file);
    const auto known = known_sha256_.find(writing.file);
    if (known != known_sha256_.end()) {
      writing.writer->computed(known->second);
    } else if (writing.whole && sink.is_proved_whole(file)) {
      writing.writer->computed(*file.sha256);
    }
  }
  if (!ran.ok()) {
    return std::move(ran).error();
  }
  return finished;
}

Result<void> FetchBlobs::commit(const Call& call, Wave wave) {
  std::vector<Writing> certain;
  std::vector<Writing> others;
  for (Writing& writing : wave) {
    const bool is_sure = is_certain(*writing.writer, file(writing.file));
    (is_sure ? certain : others).push_back(std::move(writing));
  }
  TRY(commit_together(call, std::move(certain)));
  for (Writing& writing : others) {
    std::vector<Writing> one;
    one.push_back(std::move(writing));
    TRY(commit_together(call, std::move(one)));
  }
  return {};
}

Result<void> FetchBlobs::commit_together(const Call& call, std::vector<Writing> writings) {
  if (writings.empty()) {
    return {};
  }
  std::vector<std::unique_ptr<store::BlobWriter>> writers;
  for (Writing& writing : writings) {
    writers.push_back(std::move(writing.writer));
  }
  auto blobs = parts_.store.blobs().commit(call, std::move(writers));
  for (std::size_t i = 0; i < writings.size(); ++i) {
    model::File& file = this->file(writings[i].file);
    progress_.ended(file.path, blobs.ok());
    if (blobs.ok()) {
      file.root = (*blobs)[i].root();
      // A record that cannot be written costs a hash when the blob is read.
      static_cast<void>(remember_blob(parts_.store, (*blobs)[i]));
      if (leases_.size() < kMostLeases) {
        leases_.push_back(std::move((*blobs)[i]));
      }
    }
  }
  return blobs.ok() ? Result<void>() : std::move(blobs).error();
}

void FetchBlobs::save(Wave wave) {
  std::vector<Writing> certain;
  for (Writing& writing : wave) {
    const model::File& file = this->file(writing.file);
    if (!writing.peeked && is_certain(*writing.writer, file)) {
      certain.push_back(std::move(writing));
      continue;
    }
    progress_.ended(file.path, false);
    const auto missing = writing.writer->partial().missing();
    if (!missing.empty() && missing.front() == base::Range{0, file.size}) {
      writing.writer->partial().discard();  // nothing but space is lost
    }
  }
  // Also when the call was stopped: this is the work of a moment, on this machine.
  static_cast<void>(commit_together(Call(call_.clock()), std::move(certain)));
}

}  // namespace weighbridge::transfer
