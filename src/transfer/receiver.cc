#include "transfer/receiver.h"

#include <algorithm>
#include <utility>

namespace weighbridge::transfer {

using base::Result;

namespace {

// Asks the CPU for the lines that the next bytes go to, while it still hashes: the copy out of the
// socket's buffer would wait for memory line by line.
void fetch_ahead(std::span<std::byte> next) {
  constexpr std::size_t kLineBytes = 64;
  const std::size_t bytes = std::min<std::size_t>(next.size(), hash::kStrideBytes);
  for (std::size_t i = 0; i < bytes; i += kLineBytes) {
    __builtin_prefetch(next.data() + i, 1);
  }
}

}  // namespace

Receiver::Receiver(FileJob& job, Pieces run, Progress& progress)
    : job_(job), run_(run), progress_(progress), piece_(run.begin) {}

void Receiver::begin_body(bool from_start_of_file) {
  begun_ = false;
  if (from_start_of_file) {
    piece_ = 0;
  }
}

base::Range Receiver::rest() const {
  const std::uint64_t file_bytes = job_.file().size;
  if (done()) {
    return {file_bytes, file_bytes};
  }
  return {hash::piece_range(piece_, file_bytes).begin,
          hash::piece_range(run_.end - 1, file_bytes).end};
}

std::uint64_t Receiver::piece_bytes() const {
  return hash::piece_range(piece_, job_.file().size).size();
}

Result<void> Receiver::begin_piece() {
  needed_ = job_.needs(piece_);
  place_ = TRY(job_.place(piece_, scratch_));
  filled_ = 0;
  hashed_ = 0;
  hashing_ = needed_ && job_.must_hash();
  if (hashing_) {
    hasher_.start(piece_);
  }
  const bool inside = place_.data() >= places_.data() &&
                      place_.data() + place_.size() <= places_.data() + places_.size();
  if (!inside) {
    places_ = places_from(piece_);
  }
  begun_ = true;
  return {};
}

// One read of a disk then fills several pieces.
std::span<std::byte> Receiver::places_from(std::uint64_t piece) const {
  std::span<std::byte> places = place_;
  while (job_.is_local() && ++piece < run_.end) {
    const std::span<std::byte> next = job_.own_place(piece);
    if (next.empty() || next.data() != places.data() + places.size()) {
      break;
    }
    places = std::span(places.data(), places.size() + next.size());
  }
  return places;
}

std::span<std::byte> Receiver::window() {
  if (done() || failure_) {
    return {};
  }
  if (!begun_) {
    auto begun = begin_piece();
    if (!begun.ok()) {
      failure_ = std::move(begun).error();
      return {};
    }
  }
  return places_.subspan(static_cast<std::size_t>(place_.data() - places_.data()) + filled_);
}

Result<void> Receiver::landed(std::size_t bytes) {
  progress_.received_bytes += bytes;
  while (bytes > 0) {
    if (!begun_) {
      TRY(begin_piece());
    }
    const std::size_t of_piece = std::min<std::size_t>(bytes, place_.size() - filled_);
    TRY(take(of_piece));
    bytes -= of_piece;
  }
  return {};
}

Result<void> Receiver::take(std::size_t bytes) {
  filled_ += bytes;
  if (hashing_) {
    // Hashed while it is in the cache, in whole strides, which is how BLAKE3 is fastest.
    const std::size_t stride = (filled_ - hashed_) / hash::kStrideBytes * hash::kStrideBytes;
    if (stride > 0) {
      hasher_.update(place_.subspan(hashed_, stride));
      hashed_ += stride;
      fetch_ahead(place_.subspan(filled_));
    }
  }
  return filled_ == piece_bytes() ? end_piece() : Result<void>();
}

Result<void> Receiver::end_piece() {
  begun_ = false;
  if (needed_) {
    TRY(job_.landed(piece_, place_.first(filled_), finish_value(), std::move(scratch_)));
    ++handed_over_;
  }
  ++piece_;
  return {};
}

hash::ChainingValue Receiver::finish_value() {
  if (!hashing_) {
    return {};
  }
  hasher_.update(place_.subspan(hashed_, filled_ - hashed_));
  const bool single = hash::piece_count(job_.file().size) == 1;
  return single ? hash::ChainingValue{hasher_.finish_root().bytes} : hasher_.finish_piece();
}

Result<void> Receiver::finish_empty() {
  if (done() || piece_bytes() > 0) {
    return {};
  }
  TRY(begin_piece());
  return end_piece();
}

std::optional<base::Error> Receiver::take_failure() {
  return std::exchange(failure_, {});
}

}  // namespace weighbridge::transfer
