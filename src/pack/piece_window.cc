#include "pack/piece_window.h"

#include <algorithm>
#include <utility>

namespace weighbridge::pack {

using base::Call;
using base::Code;
using base::Error;
using base::Range;
using base::Result;
using hash::kPieceBytes;

PieceWindow::PieceWindow(std::uint64_t file_bytes, std::uint64_t offset)
    : file_bytes_(file_bytes),
      memory_(std::min<std::uint64_t>(hash::piece_count(file_bytes), kPieces) * kPieceBytes),
      next_(offset / kPieceBytes),
      ready_(kPieces) {}

std::span<std::byte> PieceWindow::slot(std::uint64_t piece) {
  const std::uint64_t slots = memory_.size() / kPieceBytes;
  return std::span(memory_).subspan(piece % slots * kPieceBytes,
                                    hash::piece_range(piece, file_bytes_).size());
}

Result<std::span<const std::byte>> PieceWindow::take(const Call& call) {
  std::unique_lock lock(mutex_);
  const auto is_ready = [&] { return ready_[next_ % kPieces]; };
  call.clock().wait(lock, changed_, call.deadline(), call.stop(), [&] {
    return is_ready() || ended_.has_value();
  });
  if (is_ready()) {
    return std::span<const std::byte>(slot(next_));
  }
  TRY(call.check());
  if (ended_ && !ended_->ok()) {
    return ended_->error().copy();
  }
  return Error(ended_ ? Code::kInternal : Code::kTimedOut, "a piece of the file did not come");
}

void PieceWindow::release() {
  {
    const std::scoped_lock lock(mutex_);
    ready_[next_ % kPieces] = false;
    ++next_;
    changed_.notify_all();
  }
  const std::scoped_lock telling(telling_mutex_);
  if (tell_) {
    tell_();
  }
}

void PieceWindow::end(Result<void> run) {
  const std::scoped_lock lock(mutex_);
  ended_ = std::move(run);
  changed_.notify_all();
}

std::uint64_t PieceWindow::position() const {
  const std::scoped_lock lock(mutex_);
  return next_ * kPieceBytes;
}

Range PieceWindow::admit(const model::File& /*file*/, Range pieces) {
  const std::scoped_lock lock(mutex_);
  return {pieces.begin, std::clamp(room_end(), pieces.begin, pieces.end)};
}

Result<void> PieceWindow::wait_for_room(const Call& call,
                                        const model::File& /*file*/,
                                        Range piece) {
  std::unique_lock lock(mutex_);
  const bool room = call.clock().wait(
      lock, changed_, call.deadline(), call.stop(), [&] { return piece.begin < room_end(); });
  lock.unlock();
  if (room) {
    return {};
  }
  TRY(call.check());
  return Error(Code::kTimedOut, "the deadline passed while waiting for the registry");
}

void PieceWindow::tell_of_room(std::function<void()> tell) {
  const std::scoped_lock telling(telling_mutex_);
  tell_ = std::move(tell);
}

Result<std::span<std::byte>> PieceWindow::place(const model::File& /*file*/, Range piece) {
  return slot(piece.begin / kPieceBytes);
}

Result<void> PieceWindow::landed(const model::File& /*file*/,
                                 Range piece,
                                 std::span<const std::byte> bytes) {
  const auto own = slot(piece.begin / kPieceBytes);
  if (own.data() != bytes.data()) {
    std::copy(bytes.begin(), bytes.end(), own.begin());
  }
  return {};
}

Result<void> PieceWindow::publish(const model::File& /*file*/,
                                  Range piece,
                                  model::Proof /*proof*/) {
  const std::scoped_lock lock(mutex_);
  ready_[piece.begin / kPieceBytes % kPieces] = true;
  changed_.notify_all();
  return {};
}

void PieceWindow::abandon(const model::File& /*file*/, const Error& error) {
  end(error.copy());
}

}  // namespace weighbridge::pack
