#include "transfer/file_job.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace weighbridge::transfer {

using base::Code;
using base::Error;
using base::Result;
using model::Method;
using model::Proof;
using model::Trust;

FileJob::FileJob(const Shared& shared, Subject subject, std::span<const Want> wants, bool peek)
    : shared_(shared),
      file_(subject.file),
      index_(subject.index),
      name_(std::move(subject.name)),
      identity_(std::move(subject.identity)),
      tree_(std::move(subject.tree)),
      how_(how_to_prove(file_, tree_ != nullptr, peek)),
      piece_count_(hash::piece_count(file_.size)),
      landed_(piece_count_) {
  meet(std::move(subject.met));
  plan(wants);
  for (const Pieces& run : pieces_) {
    missing_ += run.end - run.begin;
  }
  unpublished_ = missing_;
  if (how_ == How::kRoot || how_ == How::kSha256) {
    values_.resize(piece_count_);
  }
  if (how_ == How::kSha256) {
    sha256_.emplace();
  }
}

FileJob::How FileJob::how_to_prove(const model::File& file, bool has_tree, bool peek) {
  if (has_tree) {
    return How::kPieces;
  }
  const bool whole_only = hash::piece_count(file.size) > 1;
  switch (file.method()) {
    case Method::kPieces:
      return How::kPieces;
    case Method::kRoot:
      return peek && whole_only ? How::kPeek : How::kRoot;
    case Method::kSha256:
      return peek && whole_only ? How::kPeek : How::kSha256;
    case Method::kNothing:
      break;
  }
  return How::kFirstSeen;
}

void FileJob::meet(std::optional<LocalProofs::Met> met) {
  if (!met) {
    return;
  }
  model::File asked_for;
  asked_for.path = file_.path;
  asked_for.size = file_.size;
  asked_for.validator = met->file.validator;
  if (!met->known) {
    // Tells the source that whatever it gives will be held to a digest.
    asked_for.root = file_.root;
    asked_for.sha256 = file_.sha256;
  }
  asked_for_ = std::move(asked_for);
  if (met->known) {
    how_ = How::kKnown;
    if (!file_.root) {
      const hash::ChainingValue single{met->known->root.bytes};
      shared_.first_seen.replace(
          identity_, file_, is_single_piece() ? std::span(&single, 1) : met->known->pieces);
    }
    met->known.reset();  // 32 bytes a MiB
  }
  met_ = std::move(met);
}

Proof FileJob::known_proof() const {
  return file_.method() == Method::kNothing ? Proof{Trust::kFirstSeen, Method::kPieces}
                                            : Proof{file_.trust, file_.method()};
}

void FileJob::plan(std::span<const Want> wants) {
  if (how_ == How::kRoot || how_ == How::kSha256) {
    pieces_ = {{0, piece_count_}};
    return;
  }
  for (const Want& want : wants) {
    const std::uint64_t begin = std::min(want.range.begin / hash::kPieceBytes, piece_count_ - 1);
    const std::uint64_t last = hash::piece_count(std::min(want.range.end, file_.size));
    const std::uint64_t end = std::max(last, begin + 1);
    if (!pieces_.empty() && begin <= pieces_.back().end) {
      pieces_.back().end = std::max(pieces_.back().end, end);
    } else {
      pieces_.push_back({begin, end});
    }
  }
}

base::Range FileJob::range_of(std::uint64_t piece) const {
  return hash::piece_range(piece, file_.size);
}

bool FileJob::needs(std::uint64_t piece) const {
  const auto run = std::partition_point(
      pieces_.begin(), pieces_.end(), [&](const Pieces& r) { return r.end <= piece; });
  const bool wanted = run != pieces_.end() && run->begin <= piece;
  const std::scoped_lock lock(mutex_);
  return wanted && !landed_[piece];
}

std::span<std::byte> FileJob::own_place(std::uint64_t piece) {
  if (!needs(piece)) {
    return {};
  }
  const auto place = shared_.sink.place(file_, range_of(piece));
  return place.ok() ? *place : std::span<std::byte>();
}

Pieces FileJob::admitted(Pieces run) const {
  const base::Range wanted{range_of(run.begin).begin, range_of(run.end - 1).end};
  const base::Range room = shared_.sink.admit(file_, wanted);
  return room.end == wanted.end ? run : Pieces{run.begin, room.end / hash::kPieceBytes};
}

Result<std::span<std::byte>> FileJob::place(std::uint64_t piece, ScratchPool::Buffer& scratch) {
  const base::Range range = range_of(piece);
  if (needs(piece)) {
    TRY(shared_.sink.wait_for_room(shared_.call, file_, range));
    const std::span<std::byte> own = TRY(shared_.sink.place(file_, range));
    if (!own.empty()) {
      return own;
    }
  }
  if (!scratch) {
    scratch = shared_.scratch.take();
  }
  return scratch.bytes().first(range.size());
}

Error FileJob::mismatch(std::string_view what,
                        std::string_view expected,
                        std::string_view found) const {
  return Error(Code::kCorrupt, fmt::format("{}: expected {}, found {}", what, expected, found))
      .in_file(name_);
}

hash::ChainingValue FileJob::expected_of(std::uint64_t piece) const {
  if (tree_ != nullptr) {
    return tree_->pieces[piece];
  }
  return is_single_piece() ? hash::ChainingValue{file_.root->bytes} : file_.pieces[piece];
}

Result<void> FileJob::check(std::uint64_t piece, const hash::ChainingValue& value) const {
  if (how_ != How::kPieces) {
    return {};
  }
  const hash::ChainingValue expected = expected_of(piece);
  if (value == expected) {
    return {};
  }
  const base::Range range = range_of(piece);
  const std::string_view what = tree_ == nullptr
                                    ? "what was sealed"
                                    : "those of the file that its digest names, as read before";
  return mismatch(fmt::format(
                      "bytes {}-{} are not {} (BLAKE3 of the piece)", range.begin, range.end, what),
                  expected.hex(),
                  value.hex())
      .at(range.begin);
}

// What is proved as a whole is held to nothing else: its digest decides.
Result<void> FileJob::hold_to_first_seen(std::uint64_t piece, const hash::ChainingValue& value) {
  return how_ == How::kFirstSeen ? shared_.first_seen.hold(identity_, file_, piece, value)
                                 : Result<void>();
}

Result<void> FileJob::landed(std::uint64_t piece,
                             std::span<const std::byte> bytes,
                             const hash::ChainingValue& value,
                             ScratchPool::Buffer scratch) {
  TRY(check(piece, value));
  TRY(hold_to_first_seen(piece, value));
  // Of a SHA-256-only file all is told at its end, with the SHA-256.
  if (met_ && must_hash() && how_ != How::kSha256) {
    shared_.local_proofs->hashed(*met_, piece, value);
  }
  TRY(shared_.sink.landed_as(file_, range_of(piece), bytes, value));
  std::uint64_t missing = 0;
  {
    const std::scoped_lock lock(mutex_);
    landed_[piece] = true;
    missing = --missing_;
    if (!values_.empty()) {
      values_[piece] = value;
    }
  }
  switch (how_) {
    case How::kPieces:
      return publish(piece, {file_.trust, Method::kPieces});
    case How::kFirstSeen:
      return publish(piece, {Trust::kFirstSeen, Method::kPieces});
    case How::kKnown:
      return publish(piece, known_proof());
    case How::kPeek:
      return publish(piece, {Trust::kNone, Method::kNothing});
    case How::kRoot:
      return missing == 0 ? check_root() : Result<void>();
    case How::kSha256:
      return hash_in_order(piece, bytes, std::move(scratch));
  }
  return {};
}

void FileJob::keep_tree() {
  if (is_single_piece()) {
    return;
  }
  const hash::Root root = how_ == How::kRoot ? *file_.root : hash::merge_pieces(values_);
  shared_.trees.remember(file_, std::make_shared<const HashTree>(HashTree{root, values_}));
}

Result<void> FileJob::check_root() {
  const hash::Root found =
      is_single_piece() ? hash::Root{values_.front().bytes} : hash::merge_pieces(values_);
  if (found != *file_.root) {
    return mismatch(
        fmt::format("bytes 0-{} are not what was named (BLAKE3 of the file)", file_.size),
        file_.root->hex(),
        found.hex());
  }
  keep_tree();
  return publish_all({file_.trust, Method::kRoot});
}

// One thread at a time hashes; a thread that lands a piece meanwhile leaves it for that one.
Result<void> FileJob::hash_in_order(std::uint64_t piece,
                                    std::span<const std::byte> bytes,
                                    ScratchPool::Buffer scratch) {
  std::unique_lock lock(mutex_);
  waiting_.emplace(piece, Waiting{bytes, std::move(scratch)});
  if (hashing_) {
    return {};
  }
  hashing_ = true;
  for (auto next = waiting_.find(cursor_); next != waiting_.end() && !given_up_;
       next = waiting_.find(cursor_)) {
    const Waiting taken = std::move(next->second);
    waiting_.erase(next);
    lock.unlock();
    sha256_->update(taken.bytes);
    shared_.hashed(*this);
    lock.lock();
    ++cursor_;
  }
  hashing_ = false;
  const bool complete = cursor_ == piece_count_ && !given_up_;
  lock.unlock();
  return complete ? check_sha256(sha256_->finish()) : Result<void>();
}

Result<void> FileJob::check_sha256(const hash::Sha256Digest& found) {
  if (met_) {
    shared_.local_proofs->hashed_whole(*met_, values_, found);
  }
  if (found != *file_.sha256) {
    return mismatch(
        fmt::format("bytes 0-{} are not what was named (SHA-256 of the file)", file_.size),
        file_.sha256->hex(),
        found.hex());
  }
  keep_tree();
  return publish_all({file_.trust, Method::kSha256});
}

Result<void> FileJob::publish(std::uint64_t piece, Proof proof) {
  shared_.progress.proved_bytes += range_of(piece).size();
  TRY(shared_.sink.publish(file_, range_of(piece), proof));
  const std::scoped_lock lock(mutex_);
  complete_ = --unpublished_ == 0;
  return {};
}

Result<void> FileJob::publish_all(Proof proof) {
  shared_.first_seen.replace(identity_, file_, values_);
  for (std::uint64_t piece = 0; piece < piece_count_; ++piece) {
    TRY(publish(piece, proof));
  }
  return {};
}

bool FileJob::give_up() {
  std::map<std::uint64_t, Waiting> dropped;
  {
    const std::scoped_lock lock(mutex_);
    if (given_up_.exchange(true)) {
      return false;
    }
    dropped.swap(waiting_);
  }
  return true;
}

}  // namespace weighbridge::transfer
