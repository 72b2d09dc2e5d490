#include "transfer/transfer.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "sync/guarded.h"
#include "sync/retry.h"
#include "transfer/file_job.h"
#include "transfer/receiver.h"
#include "transfer/schedule.h"

namespace weighbridge::transfer {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

// One run of the engine: its jobs, its threads, its first error. Confined to Transfer::run; the
// members that its own threads share are guarded.
class Run {
 public:
  // What a run works with, besides its plan.
  struct Setting {
    Sink& sink;
    Progress& progress;
    FirstSeen& first_seen;
    std::uint64_t seed = 0;
    RunOptions options;
  };

  Run(const Call& call, const Plan& plan, const Setting& setting)
      : call_(call.stopped_by(stop_.get_token())),
        outer_stop_(call.stop(), [this] { stop_.request_stop(); }),
        source_(plan.source),
        progress_(setting.progress),
        options_(setting.options),
        retry_({.max_tries = Transfer::kTries}, sync::seeded_random(setting.seed)),
        shared_{call_,
                setting.sink,
                setting.first_seen,
                scratch_,
                progress_,
                [this](const FileJob& job) { schedule_->hashed(job); }} {}

  Result<Report> run(const model::Snapshot& snapshot, std::span<const Want> wants);

 private:
  Result<void> plan(const model::Snapshot& snapshot, std::span<const Want> wants);
  Result<void> close(Report& report);
  void work();
  Result<void> fetch(const Request& request);
  Result<bool> fetch_more(const Request& request, Receiver& receiver);
  // One body: success when the request is done or its file has become a stream.
  Result<bool> fetch_once(const Request& request, Receiver& receiver);
  Error named(const Request& request, const Receiver& receiver, Error error) const;
  void failed(FileJob& job, Error error);

  std::stop_source stop_;
  const Call call_;
  std::stop_callback<std::function<void()>> outer_stop_;
  sources::Source& source_;
  Progress& progress_;
  const RunOptions options_;
  const sync::Retry retry_;
  ScratchPool scratch_;
  FileJob::Shared shared_;
  std::vector<std::unique_ptr<FileJob>> jobs_;
  std::optional<Schedule> schedule_;
  std::atomic<std::uint64_t> requests_ = 0;
  std::atomic<std::uint64_t> retries_ = 0;
  sync::Guarded<std::vector<FileFailure>> failures_;
};

Result<void> Run::plan(const model::Snapshot& snapshot, std::span<const Want> wants) {
  std::vector<Want> sorted(wants.begin(), wants.end());
  std::sort(sorted.begin(), sorted.end(), [](const Want& a, const Want& b) {
    return std::pair(a.file, a.range.begin) < std::pair(b.file, b.range.begin);
  });
  for (auto first = sorted.begin(); first != sorted.end();) {
    const auto last =
        std::find_if(first, sorted.end(), [&](const Want& w) { return w.file != first->file; });
    const model::File& file = snapshot.files[first->file];
    std::string name = source_.printable(file.path);
    if (file.size > Transfer::kMaxFileBytes) {
      return Error(Code::kExhausted,
                   fmt::format("the file is said to have {} bytes, at most {} are supported",
                               file.size,
                               Transfer::kMaxFileBytes))
          .in_file(std::move(name));
    }
    FileJob::Subject subject{file, first->file, std::move(name), source_.identity(file.path)};
    jobs_.push_back(std::make_unique<FileJob>(
        shared_, std::move(subject), std::span(first, last), options_.peek));
    for (const Pieces& run : jobs_.back()->pieces()) {
      progress_.wanted_bytes += hash::piece_range(run.end - 1, file.size).end -
                                hash::piece_range(run.begin, file.size).begin;
    }
    first = last;
  }
  schedule_.emplace(jobs_);
  return {};
}

Result<Report> Run::run(const model::Snapshot& snapshot, std::span<const Want> wants) {
  TRY(plan(snapshot, wants));
  const std::uint64_t received_before = progress_.received_bytes;
  const std::size_t threads = std::min(source_.max_connections(), schedule_->request_count());
  {
    shared_.sink.tell_of_room([this] { schedule_->room(); });
    std::vector<std::jthread> workers;
    for (std::size_t i = 1; i < threads; ++i) {
      workers.emplace_back([this] { work(); });
    }
    work();  // this thread is one of them
  }
  shared_.sink.tell_of_room({});
  Report report;
  report.requests = requests_;
  report.retries = retries_;
  report.received_bytes = progress_.received_bytes - received_before;
  failures_.with(
      [&](std::vector<FileFailure>& failures) { report.failures = std::move(failures); });
  TRY(close(report));
  return report;
}

// Tells the sink which files ended badly, and returns what the whole run ends with.
Result<void> Run::close(Report& report) {
  Result<void> overall = call_.check();
  if (!report.failures.empty()) {
    overall = report.failures.front().error.copy();
  }
  const auto incomplete = [](const auto& job) { return !job->complete(); };
  if (overall.ok() && std::any_of(jobs_.begin(), jobs_.end(), incomplete)) {
    overall = Error(Code::kInternal, "the transfer ended before everything was proved");
  }
  std::unordered_map<std::size_t, const Error*> errors;
  for (const FileFailure& failure : report.failures) {
    errors.emplace(failure.file, &failure.error);
  }
  for (const std::unique_ptr<FileJob>& job : jobs_) {
    const auto own = errors.find(job->index());
    if (own != errors.end()) {
      shared_.sink.abandon(job->file(), *own->second);
    } else if (!overall.ok() && !job->complete()) {
      shared_.sink.abandon(job->file(), overall.error());
    }
  }
  if (options_.keep_going && !report.failures.empty()) {
    return call_.check();
  }
  return overall;
}

void Run::work() {
  for (;;) {
    auto request = schedule_->next(call_);
    if (!request.ok() || !request->has_value()) {
      return;  // stopped, timed out (run() says so), or nothing left
    }
    auto fetched = fetch(**request);
    if (!fetched.ok()) {
      failed(*(*request)->job, std::move(fetched).error());
    }
    schedule_->finished(**request);
  }
}

void Run::failed(FileJob& job, Error error) {
  const bool first = job.give_up();
  if (!first || stop_.stop_requested()) {
    return;  // known already; or the consequence of a stop, not its cause
  }
  failures_.with([&](std::vector<FileFailure>& failures) {
    failures.push_back({job.index(), std::move(error)});
  });
  if (!options_.keep_going) {
    stop_.request_stop();
  }
}

Error Run::named(const Request& request, const Receiver& receiver, Error error) const {
  if (!error.file()) {
    error = std::move(error).in_file(request.job->name());
  }
  const base::Range rest = receiver.rest();
  if (!error.offset()) {
    error = std::move(error).at(rest.begin);
  }
  if (error.code() == Code::kCorrupt) {
    return error;
  }
  return std::move(error).context(fmt::format("fetching bytes {}-{}", rest.begin, rest.end));
}

Result<bool> Run::fetch_once(const Request& request, Receiver& receiver) {
  receiver.begin_body(request.stream);
  ++requests_;
  auto read = source_.read(call_, request.job->file(), receiver.rest(), receiver);
  if (receiver.done()) {
    return true;  // all that was asked for has landed, however the body went on or ended
  }
  if (auto failure = receiver.take_failure()) {
    return std::move(*failure);
  }
  if (!read.ok()) {
    const bool no_ranges =
        read.error().code() == Code::kUnsupported && !request.stream && receiver.rest().begin > 0;
    if (no_ranges) {
      schedule_->turn_into_stream(*request.job);
      return true;
    }
    return std::move(read).error();
  }
  TRY(receiver.finish_empty());
  if (!receiver.done()) {
    return Error(Code::kUnavailable,
                 fmt::format("the answer ended {} bytes early", receiver.rest().size()));
  }
  return true;
}

// Bodies until there is something new: true when the request is done, false when pieces have come
// and more must follow. What was hurt on its way is asked for again at once.
Result<bool> Run::fetch_more(const Request& request, Receiver& receiver) {
  for (std::size_t unproved = 0; !request.job->given_up();) {
    const std::uint64_t before = receiver.handed_over();
    auto once = fetch_once(request, receiver);
    if (once.ok()) {
      return true;
    }
    ++retries_;
    Error error = std::move(once).error();
    const bool corrupt = error.code() == Code::kCorrupt;
    if (corrupt && !request.job->needs(receiver.piece())) {
      return error;  // the proof of the whole file, which cannot be tried again
    }
    if (receiver.handed_over() > before) {
      return false;
    }
    if (!corrupt || ++unproved >= Transfer::kProofTries) {
      return named(request, receiver, std::move(error));
    }
  }
  return true;
}

Result<void> Run::fetch(const Request& request) {
  Receiver receiver(*request.job, request.run, progress_);
  while (!TRY(retry_.run(call_, [&] { return fetch_more(request, receiver); }))) {
  }
  return {};
}

}  // namespace

Result<Report> Transfer::run(
    const Call& call, const Plan& plan, Sink& sink, Progress& progress, RunOptions options) {
  return Run(call, plan, {sink, progress, first_seen_, seed_++, options})
      .run(plan.snapshot, plan.wants);
}

}  // namespace weighbridge::transfer
