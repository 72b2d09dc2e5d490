// A piece is written, then journalled: a process that dies leaves no record of what is not there.
// The disk keeps no such order, so every kCheckpointBytes the data is synced and the journal told.
// What no checkpoint covers is read and hashed again by who resumes.

#include "store/partial.h"

#include <algorithm>
#include <random>
#include <utility>

#include "base/check.h"
#include "hash/hash_tree.h"
#include "store/files.h"

namespace weighbridge::store {
namespace {

using base::Code;
using base::Error;
using base::Result;

bool is_aligned(std::span<const std::byte> bytes, std::uint64_t offset) {
  const auto address = reinterpret_cast<std::uintptr_t>(bytes.data());
  return address % io::kDirectBytes == 0 && offset % io::kDirectBytes == 0;
}

// Opens the file, or makes it; null if it came and went meanwhile.
Result<std::unique_ptr<io::OpenFile>> open_or_create(io::FileSystem& files,
                                                     const std::string& path) {
  auto opened = files.open_to_write(path, io::Caching::kKeep);
  if (opened.ok() || opened.error().code() != Code::kNotFound) {
    return opened;
  }
  auto created = files.create(path);
  if (!created.ok() && created.error().code() == Code::kExists) {
    return std::unique_ptr<io::OpenFile>();
  }
  return created;
}

// Other than that of any earlier session.
hash::ChainingValue nonce() {
  std::random_device device;
  hash::ChainingValue value;
  for (std::byte& byte : value.bytes) {
    byte = static_cast<std::byte>(device() & 0xFFU);
  }
  return value;
}

}  // namespace

Result<hash::ChainingValue> hash_piece(io::OpenFile& file,
                                       std::uint64_t piece,
                                       std::uint64_t file_bytes,
                                       std::span<std::byte> buffer) {
  const base::Range range = hash::piece_range(piece, file_bytes);
  const auto bytes = buffer.first(range.size());
  TRY(read_exactly(file, range.begin, bytes));
  const auto hasher = std::make_unique<hash::PieceHasher>();
  hasher->start(piece);
  hasher->update(bytes);
  if (hash::piece_count(file_bytes) == 1) {
    return hash::ChainingValue{hasher->finish_root().bytes};
  }
  return hasher->finish_piece();
}

hash::Root root_of(std::span<const hash::ChainingValue> values) {
  return values.size() == 1 ? hash::Root{values.front().bytes} : hash::merge_pieces(values);
}

Partial::Partial(io::FileSystem& files,
                 Place place,
                 const model::File& file,
                 std::unique_ptr<io::OpenFile> data)
    : files_(files),
      place_(std::move(place)),
      file_(file),
      data_(std::move(data)),
      there_(hash::piece_count(file.size)),
      values_(hash::piece_count(file.size)) {}

Result<std::unique_ptr<Partial>> Partial::try_open(io::FileSystem& files,
                                                   Place place,
                                                   const model::File& file,
                                                   const Admit& admit) {
  auto data = TRY(open_or_create(files, place.directory + "/" + place.id + ".data"));
  if (data == nullptr || !TRY(data->try_lock(io::Lock::kExclusive))) {
    return std::unique_ptr<Partial>();
  }
  std::unique_ptr<Partial> partial(new Partial(files, std::move(place), file, std::move(data)));
  if (!TRY(partial->is_mine())) {
    return std::unique_ptr<Partial>();
  }
  TRY(partial->resume_or_begin(admit));
  TRY(partial->open_direct());
  return partial;
}

// Between its opening and its locking somebody may have published or removed it.
Result<bool> Partial::is_mine() const {
  const auto named = files_.info(data_path());
  if (!named.ok()) {
    return named.error().code() == Code::kNotFound ? Result<bool>(false) : named.error().copy();
  }
  return TRY(data_->info()).inode == named->inode;
}

Result<void> Partial::resume_or_begin(const Admit& admit) {
  if (TRY(data_->info()).size == file_.size && has_journal() && place_.resumable) {
    const auto journal = TRY(read_journal());
    if (journal) {
      return resume(*journal);
    }
  }
  return begin(admit);
}

// Nothing if there is none to be believed: the fetch begins anew.
Result<std::optional<Journal>> Partial::read_journal() {
  const auto bytes = io::read_file(files_, journal_path(), max_journal_bytes(file_.size));
  if (!bytes.ok()) {
    const Code code = bytes.error().code();
    if (code == Code::kNotFound || code == Code::kExhausted) {
      return std::optional<Journal>();
    }
    return bytes.error().copy();
  }
  auto journal = parse_journal(*bytes, file_.size, place_.id);
  return journal.ok() ? std::optional(std::move(journal).value()) : std::nullopt;
}

Result<void> Partial::resume(const Journal& journal) {
  std::vector<std::byte> buffer;
  for (const auto& [piece, found] : journal.pieces) {
    if (!file_.pieces.empty() && file_.pieces[piece] != found.value) {
      continue;
    }
    if (!found.on_disk || !is_large()) {
      buffer.resize(hash::kPieceBytes);
      const auto value = hash_piece(*data_, piece, file_.size, buffer);
      if (!value.ok() || *value != found.value) {
        continue;
      }
    }
    there_[piece] = true;
    values_[piece] = found.value;
  }
  journal_.emplace(TRY(files_.open_to_write(journal_path(), io::Caching::kKeep)), journal.end);
  return journal_->append({RecordKind::kSession, 0, nonce()});
}

Result<void> Partial::begin(const Admit& admit) {
  if (has_journal()) {
    TRY(remove_if_there(files_, journal_path()));
  }
  if (is_large()) {
    // A stale journal must not come back beside the new data.
    TRY(files_.sync_directory(place_.directory));
  }
  auto reserved = reserve(admit);
  if (!reserved.ok()) {
    discard();
    return reserved;
  }
  if (has_journal()) {
    auto file = TRY(files_.create(journal_path()));
    const auto header = journal_header(file_.size, place_.id);
    TRY(file->write_at(0, header));
    journal_.emplace(std::move(file), journal_end_of_header(header));
  }
  return {};
}

Result<void> Partial::reserve(const Admit& admit) {
  const io::FileInfo info = TRY(data_->info());
  if (info.size > file_.size) {
    return Error(Code::kConflict, "a partial file is larger than its file").in_file(data_path());
  }
  return admit(file_.size - std::min(info.disk_bytes, file_.size), [&] { return allocate(); });
}

Result<void> Partial::allocate() {
  auto reserved = data_->reserve(file_.size);
  if (!reserved.ok() && reserved.error().code() == Code::kUnsupported) {
    return data_->write_at(file_.size - 1, std::array{std::byte{0}});
  }
  return reserved;
}

Result<void> Partial::open_direct() {
  if (place_.caching == io::Caching::kKeep || file_.size < hash::kPieceBytes) {
    return {};
  }
  auto direct = files_.open_to_write(data_path(), io::Caching::kBypass);
  if (direct.ok()) {
    direct_ = std::move(direct).value();
  } else if (direct.error().code() != Code::kUnsupported) {
    return std::move(direct).error();
  }
  return {};
}

bool Partial::has(std::uint64_t piece) const {
  const std::scoped_lock lock(mutex_);
  return there_[piece];
}

std::vector<base::Range> Partial::missing() const {
  const std::scoped_lock lock(mutex_);
  std::vector<base::Range> ranges;
  for (std::uint64_t piece = 0; piece < there_.size(); ++piece) {
    const base::Range range = hash::piece_range(piece, file_.size);
    if (there_[piece]) {
      continue;
    }
    if (!ranges.empty() && ranges.back().end == range.begin) {
      ranges.back().end = range.end;
    } else {
      ranges.push_back(range);
    }
  }
  return ranges;
}

Result<void> Partial::write(std::uint64_t first,
                            std::span<const std::byte> bytes,
                            std::span<const hash::ChainingValue> values) {
  WB_CHECK(!values.empty() && first + values.size() <= values_.size(), "pieces of this file");
  const std::uint64_t begin = hash::piece_range(first, file_.size).begin;
  const std::uint64_t end = hash::piece_range(first + values.size() - 1, file_.size).end;
  WB_CHECK(bytes.size() == end - begin, "whole pieces");
  TRY(put(begin, bytes));
  return TRY(note(first, values)) ? checkpoint() : Result<void>();
}

Result<void> Partial::put(std::uint64_t offset, std::span<const std::byte> bytes) {
  if (direct_ != nullptr && is_aligned(bytes, offset)) {
    const std::size_t whole = bytes.size() - bytes.size() % io::kDirectBytes;
    if (whole > 0) {
      TRY(direct_->write_at(offset, bytes.first(whole)));
    }
    bytes = bytes.subspan(whole);
    offset += whole;
  }
  return bytes.empty() ? Result<void>() : data_->write_at(offset, bytes);
}

// True if it is time for a checkpoint, which is then the caller's to make.
Result<bool> Partial::note(std::uint64_t first, std::span<const hash::ChainingValue> values) {
  const std::scoped_lock lock(mutex_);
  for (std::uint64_t i = 0; i < values.size(); ++i) {
    if (journal_) {
      TRY(journal_->append({RecordKind::kPiece, first + i, values[i]}));
    }
    there_[first + i] = true;
    values_[first + i] = values[i];
    unsynced_bytes_ += hash::piece_range(first + i, file_.size).size();
  }
  if (!is_large() || checkpointing_ || unsynced_bytes_ < place_.checkpoint_bytes) {
    return false;
  }
  checkpointing_ = true;
  unsynced_bytes_ = 0;
  return true;
}

Result<void> Partial::checkpoint() {
  auto made = make_checkpoint();
  const std::scoped_lock lock(mutex_);
  checkpointing_ = false;
  return made;
}

Result<void> Partial::make_checkpoint() {
  std::uint64_t covered = 0;
  {
    const std::scoped_lock lock(mutex_);
    covered = journal_->records();
  }
  TRY(sync());
  if (!name_is_on_disk_) {
    TRY(files_.sync_directory(place_.directory));
    name_is_on_disk_ = true;
  }
  const std::scoped_lock lock(mutex_);
  TRY(journal_->append({RecordKind::kCheckpoint, covered, {}}));
  return journal_->sync();
}

Result<void> Partial::read(std::uint64_t offset, std::span<std::byte> into) {
  return read_exactly(*data_, offset, into);
}

Result<void> Partial::clone(io::OpenFile& from, base::Range range, std::uint64_t to) {
  return data_->clone_range(from, range, to);
}

Result<void> Partial::adopt(std::uint64_t piece, const hash::ChainingValue& value) {
  WB_CHECK(piece < values_.size(), "a piece of this file");
  return TRY(note(piece, {&value, 1})) ? checkpoint() : Result<void>();
}

std::optional<hash::Root> Partial::root() const {
  const std::scoped_lock lock(mutex_);
  if (std::ranges::find(there_, false) != there_.end()) {
    return std::nullopt;
  }
  return root_of(values_);
}

std::vector<hash::ChainingValue> Partial::values() const {
  const std::scoped_lock lock(mutex_);
  return values_;
}

Result<void> Partial::sync() {
  if (broken_) {
    return Error(Code::kIo, "the disk failed to keep what was written").in_file(data_path());
  }
  auto synced = data_->sync();
  if (!synced.ok()) {
    broken_ = true;
    discard();
  }
  return synced;
}

Result<void> Partial::publish(const std::string& path, std::uint32_t mode) {
  TRY(files_.rename(data_path(), path));
  TRY(data_->set_mode(mode));
  return has_journal() ? remove_if_there(files_, journal_path()) : Result<void>();
}

void Partial::discard() {
  // The journal first: without data it would say what is not so.
  static_cast<void>(remove_if_there(files_, journal_path()));
  static_cast<void>(remove_if_there(files_, data_path()));
}

}  // namespace weighbridge::store
