#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/call.h"
#include "transfer/file_job.h"

namespace weighbridge::transfer {

// A piece of work for one connection.
struct Request {
  FileJob* job = nullptr;
  Pieces run;
  bool stream = false;  // the whole file from its first byte: its origin has no ranges
};

// Which request comes next: files in order, pieces in order, so that the first tensor is out first;
// among files that only a SHA-256 proves the one with the fewest bytes under way, and no more of
// those than the window holds. Thread-safe.
class Schedule {
 public:
  // How large a request may be, in pieces. Towards the end of a run they get smaller, down to the
  // least, so that all connections end together.
  struct Sizes {
    std::uint64_t least = kUsualPieces;
    std::uint64_t most = kUsualPieces;
    std::size_t connections = 1;  // that share what is left
  };

  // What a connection does next.
  struct Next {
    std::optional<Request> request;
    bool over = false;  // there is no more to do
  };

  static constexpr std::uint64_t kUsualPieces = Transfer::kRequestBytes / hash::kPieceBytes;
  static constexpr std::uint64_t kMostPieces = 2 * kUsualPieces;

  explicit Schedule(std::span<const std::unique_ptr<FileJob>> jobs);

  // The next request. Waits while the window is full, a stream waits for its file's other requests
  // to end, or all is requested and not yet there; then `look_at` says when to return without one.
  base::Result<Next> next(const base::Call& call,
                          const Sizes& sizes,
                          const std::function<base::TimePoint()>& look_at);

  // Another request of this file is under way, which next() has not given.
  void began_again(const FileJob& job);

  // The request that next() gave is over, whatever became of it.
  void finished(const Request& request);

  // The file's origin has no ranges: what is left of it comes as one stream, once its other
  // requests have ended.
  void turn_into_stream(const FileJob& job);

  // A piece of an in-order file has been hashed: its place in the window is free again.
  void hashed(const FileJob& job);

  // Requests of the usual size that are left, so that no thread is started for nothing.
  std::size_t requests_left() const;

 private:
  struct Lane {
    FileJob* job = nullptr;
    std::size_t run = 0;      // index into job->pieces()
    std::uint64_t piece = 0;  // the next piece to request
    std::size_t active = 0;   // requests under way
    bool stream = false;
    bool stream_given = false;
    std::uint64_t window_bytes = 0;  // its share of the window
  };

  Lane& lane_of(const FileJob& job) { return lanes_[lane_of_.at(&job)]; }

  void leave_window(Lane& lane, std::uint64_t bytes);
  static bool exhausted(const Lane& lane);
  // Takes the next run of pieces off the lane.
  Pieces take(Lane& lane, const Sizes& sizes);
  std::optional<Request> pick(const Sizes& sizes);
  bool all_done() const;

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<Lane> lanes_;
  std::unordered_map<const FileJob*, std::size_t> lane_of_;
  std::size_t first_open_ = 0;      // lanes before it are exhausted
  std::uint64_t window_bytes_ = 0;  // requested of in-order files and not yet hashed
  std::uint64_t pieces_left_ = 0;   // not yet requested
  std::uint64_t ends_ = 0;          // of requests: who waits looks again what is due
};

}  // namespace weighbridge::transfer
