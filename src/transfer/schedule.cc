#include "transfer/schedule.h"

#include <algorithm>

#include "base/units.h"

namespace weighbridge::transfer {
Schedule::Schedule(std::span<const std::unique_ptr<FileJob>> jobs) {
  for (const std::unique_ptr<FileJob>& job : jobs) {
    Lane lane;
    lane.job = job.get();
    lane.piece = job->pieces().empty() ? 0 : job->pieces().front().begin;
    for (const Pieces& run : job->pieces()) {
      pieces_left_ += run.end - run.begin;
    }
    lane_of_.emplace(lane.job, lanes_.size());
    lanes_.push_back(lane);
  }
}

void Schedule::leave_window(Lane& lane, std::uint64_t bytes) {
  lane.window_bytes -= bytes;
  window_bytes_ -= bytes;
}

bool Schedule::exhausted(const Lane& lane) {
  if (lane.job->given_up()) {
    return true;
  }
  return lane.stream ? lane.stream_given : lane.run >= lane.job->pieces().size();
}

std::size_t Schedule::requests_left() const {
  const std::scoped_lock lock(mutex_);
  return base::divide_up(pieces_left_, kUsualPieces);
}

Pieces Schedule::take(Lane& lane, const Sizes& sizes) {
  const Pieces& run = lane.job->pieces()[lane.run];
  // Half a share, so that who is a little slower than the others has still less to do.
  const std::uint64_t share = base::divide_up(pieces_left_, 2 * sizes.connections);
  std::uint64_t pieces = std::clamp(share, sizes.least, sizes.most);
  if (lane.job->in_order()) {
    pieces = std::min(pieces, kUsualPieces);  // that much room there is in the window
  }
  const Pieces taken{lane.piece, std::min(run.end, lane.piece + pieces)};
  pieces_left_ -= taken.end - taken.begin;
  lane.piece = taken.end;
  if (taken.end == run.end && ++lane.run < lane.job->pieces().size()) {
    lane.piece = lane.job->pieces()[lane.run].begin;
  }
  return taken;
}

std::optional<Request> Schedule::pick(const Sizes& sizes) {
  while (first_open_ < lanes_.size() && exhausted(lanes_[first_open_]) &&
         lanes_[first_open_].active == 0) {
    ++first_open_;
  }
  Lane* in_order = nullptr;
  for (std::size_t i = first_open_; i < lanes_.size(); ++i) {
    Lane& lane = lanes_[i];
    if (exhausted(lane)) {
      continue;
    }
    if (lane.stream) {
      if (lane.active > 0) {
        continue;
      }
      lane.stream_given = true;
      ++lane.active;
      const std::uint64_t pieces = hash::piece_count(lane.job->file().size);
      return Request{lane.job, {0, pieces}, true};
    }
    if (!lane.job->in_order()) {
      ++lane.active;
      return Request{lane.job, take(lane, sizes), false};
    }
    if (in_order == nullptr || lane.active < in_order->active) {
      in_order = &lane;
    }
    if (in_order->active == 0) {
      break;
    }
  }
  if (in_order == nullptr || window_bytes_ + Transfer::kRequestBytes > Transfer::kWindowBytes) {
    return std::nullopt;
  }
  ++in_order->active;
  const Pieces run = take(*in_order, sizes);
  const std::uint64_t bytes = (run.end - run.begin) * hash::kPieceBytes;
  in_order->window_bytes += bytes;
  window_bytes_ += bytes;
  return Request{in_order->job, run, false};
}

bool Schedule::all_done() const {
  // A file with requests under way may still turn into a stream.
  return std::all_of(lanes_.begin(), lanes_.end(), [](const Lane& lane) {
    return exhausted(lane) && (lane.active == 0 || lane.stream);
  });
}

base::Result<Schedule::Next> Schedule::next(const base::Call& call,
                                            const Sizes& sizes,
                                            const std::function<base::TimePoint()>& look_at) {
  std::unique_lock lock(mutex_);
  Next next;
  const std::uint64_t ends = ends_;
  const auto picked = [&] {
    if (!next.request) {  // the clock may ask again after a yes
      next.request = pick(sizes);
    }
    next.over = !next.request && all_done();
    return next.request.has_value() || next.over;
  };
  if (picked()) {
    return next;
  }
  lock.unlock();
  const base::TimePoint look = look_at();
  lock.lock();
  call.clock().wait(lock, changed_, std::min(call.deadline(), look), call.stop(), [&] {
    return picked() || ends_ != ends;
  });
  if (!next.request && !next.over) {
    TRY(call.check());
  }
  return next;
}

void Schedule::began_again(const FileJob& job) {
  const std::scoped_lock lock(mutex_);
  ++lane_of(job).active;
}

void Schedule::finished(const Request& request) {
  const std::scoped_lock lock(mutex_);
  Lane& lane = lane_of(*request.job);
  --lane.active;
  ++ends_;
  if (lane.job->given_up()) {
    leave_window(lane, lane.window_bytes);
  }
  changed_.notify_all();
}

void Schedule::turn_into_stream(const FileJob& job) {
  const std::scoped_lock lock(mutex_);
  Lane& lane = lane_of(job);
  lane.stream = true;  // its pieces land in order from now on and need no window
  leave_window(lane, lane.window_bytes);
}

void Schedule::hashed(const FileJob& job) {
  const std::scoped_lock lock(mutex_);
  Lane& lane = lane_of(job);
  leave_window(lane, std::min(lane.window_bytes, hash::kPieceBytes));
  changed_.notify_all();
}

}  // namespace weighbridge::transfer
