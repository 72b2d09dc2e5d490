#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <thread>
#include <vector>

#include "base/call.h"
#include "sync/guarded.h"
#include "sync/retry.h"
#include "transfer/connections.h"
#include "transfer/explanation.h"
#include "transfer/file_job.h"
#include "transfer/hedge.h"
#include "transfer/receiver.h"
#include "transfer/schedule.h"
#include "transfer/transfer.h"

namespace weighbridge::transfer {

// One run of the engine: its jobs, its threads, its first error. Confined to Transfer::run; the
// members that its own threads share are guarded or atomic.
class Run {
 public:
  // What a run works with, besides its plan.
  struct Setting {
    Sink& sink;
    Progress& progress;
    FirstSeen& first_seen;
    LocalProofs* local_proofs = nullptr;  // if there are any
    KnownTrees& trees;
    std::uint64_t seed = 0;
    RunOptions options;
  };

  Run(const base::Call& call, const Plan& plan, const Setting& setting);

  base::Result<Report> run(const model::Snapshot& snapshot, std::span<const Want> wants);

 private:
  class Watch;
  using Ticks = std::atomic<base::Duration::rep>;

  struct Threads {
    std::list<std::jthread> running;
    bool closed = false;  // the run ends: none is started any more
  };

  base::Result<void> plan(const model::Snapshot& snapshot, std::span<const Want> wants);
  // A file of this machine: what is known of it from earlier.
  std::optional<LocalProofs::Met> meet(const model::File& file);
  // Takes its share of a bounded memory; returns the bytes of its window.
  std::uint64_t take_memory();
  base::Result<void> close(Report& report);
  Explanation explain() const;

  // Threads follow the number of connections: they are started here, and end when they are many.
  void add_threads();
  // Requests, one after the other; `is_last` stays until there is nothing left to do.
  void work(bool is_last);
  // This thread is one too many, and no longer counted.
  bool is_too_many();
  Schedule::Sizes sizes() const;

  base::Result<void> fetch(const Request& request);
  base::Result<bool> fetch_more(const base::Call& call, Flight& flight, Receiver& receiver);
  // One body: success when the request is done or its file has become a stream.
  base::Result<bool> fetch_once(const base::Call& call, Flight& flight, Receiver& receiver);
  void hedge(const std::shared_ptr<Flight>& flight);
  base::Result<void> fetch_again(Flight& flight);
  // One body, timed, and the pace told how it went.
  base::Result<void> read(const base::Call& call,
                          const Request& request,
                          base::Range range,
                          base::BodySink& sink,
                          Flight* flight);
  void sample();
  base::Error named(const Request& request, base::Range rest, base::Error error) const;
  void note_retry(const Request& request,
                  const Receiver& receiver,
                  const base::Error& error,
                  unsigned tries,
                  base::Duration pause);
  void failed(FileJob& job, base::Error error);

  std::stop_source stop_;
  const base::Call call_;
  std::stop_callback<std::function<void()>> outer_stop_;
  sources::Source& source_;
  Progress& progress_;
  const RunOptions options_;
  const sync::RandomSource random_;
  const base::TimePoint began_;
  const std::uint64_t received_before_;
  const std::optional<sources::LocalReads> reads_before_;
  sync::Budget::Lease connection_memory_;
  sync::Budget::Lease window_memory_;
  ScratchPool scratch_;
  FileJob::Shared shared_;
  std::vector<std::unique_ptr<FileJob>> jobs_;
  std::optional<Schedule> schedule_;
  Connections connections_;
  Hedges hedges_;
  std::atomic<std::uint64_t> requests_ = 0;
  std::atomic<std::uint64_t> retries_ = 0;
  std::atomic<std::uint64_t> least_request_bytes_ = UINT64_MAX;
  std::atomic<std::uint64_t> most_request_bytes_ = 0;
  std::uint64_t wanted_bytes_ = 0;
  Ticks answers_ = 0;
  Ticks bytes_ = 0;
  Ticks hash_ = 0;
  Ticks memory_ = 0;
  Ticks turns_ = 0;
  Ticks pauses_ = 0;
  sync::Guarded<std::vector<FileFailure>> failures_;
  std::atomic<std::size_t> thread_count_ = 0;
  sync::Guarded<Threads> threads_;
};

}  // namespace weighbridge::transfer
