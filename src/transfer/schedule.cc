#include "transfer/schedule.h"

#include <algorithm>

#include "base/units.h"

namespace weighbridge::transfer {
namespace {

constexpr std::uint64_t kRequestPieces = Transfer::kRequestBytes / hash::kPieceBytes;

bool empty(Pieces run) {
  return run.begin >= run.end;
}

}  // namespace

Schedule::Schedule(std::span<const std::unique_ptr<FileJob>> jobs) {
  for (const std::unique_ptr<FileJob>& job : jobs) {
    Lane lane;
    lane.job = job.get();
    lane.piece = job->pieces().empty() ? 0 : job->pieces().front().begin;
    for (const Pieces& run : job->pieces()) {
      request_count_ += base::divide_up(run.end - run.begin, kRequestPieces);
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

Pieces Schedule::admitted(const Lane& lane) {
  const Pieces& run = lane.job->pieces()[lane.run];
  return lane.job->admitted({lane.piece, std::min(run.end, lane.piece + kRequestPieces)});
}

void Schedule::take(Lane& lane, Pieces taken) {
  const Pieces& run = lane.job->pieces()[lane.run];
  lane.piece = taken.end;
  if (taken.end == run.end && ++lane.run < lane.job->pieces().size()) {
    lane.piece = lane.job->pieces()[lane.run].begin;
  }
}

std::optional<Request> Schedule::pick() {
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
      if (lane.active > 0 || empty(lane.job->admitted({0, 1}))) {
        continue;
      }
      lane.stream_given = true;
      ++lane.active;
      const std::uint64_t pieces = hash::piece_count(lane.job->file().size);
      return Request{lane.job, {0, pieces}, true};
    }
    const Pieces run = admitted(lane);
    if (empty(run)) {
      continue;  // of later files there may be some that are admitted already
    }
    if (!lane.job->in_order()) {
      ++lane.active;
      take(lane, run);
      return Request{lane.job, run, false};
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
  const Pieces run = admitted(*in_order);
  take(*in_order, run);
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

base::Result<std::optional<Request>> Schedule::next(const base::Call& call) {
  std::unique_lock lock(mutex_);
  std::optional<Request> request;
  call.clock().wait(lock, changed_, call.deadline(), call.stop(), [&] {
    if (!request) {  // the clock may ask again after a yes
      request = pick();
    }
    return request.has_value() || all_done();
  });
  if (!request && !all_done()) {
    TRY(call.check());
    return base::Error(base::Code::kTimedOut, "the deadline passed");
  }
  return request;
}

void Schedule::finished(const Request& request) {
  const std::scoped_lock lock(mutex_);
  Lane& lane = lane_of(*request.job);
  --lane.active;
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

void Schedule::room() {
  const std::scoped_lock lock(mutex_);
  changed_.notify_all();
}

}  // namespace weighbridge::transfer
