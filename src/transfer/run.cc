#include "transfer/run.h"

#include <algorithm>
#include <chrono>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "base/units.h"

namespace weighbridge::transfer {

using base::Call;
using base::Code;
using base::Duration;
using base::Error;
using base::Result;
using base::TimePoint;

namespace {

// Of a bounded memory, what connections may hold, and what the window may.
constexpr std::uint64_t kConnectionsShare = 4;
constexpr std::uint64_t kWindowShare = 4;

std::size_t most_connections(const sources::Source& source, const sync::Budget* memory) {
  if (memory == nullptr) {
    return source.max_connections();
  }
  const std::uint64_t affordable =
      memory->limit_bytes() / kConnectionsShare / Transfer::kConnectionBytes;
  return std::clamp<std::size_t>(affordable, 1, source.max_connections());
}

Pace::Bounds bounds_of(const sources::Source& source, const sync::Budget* memory) {
  const std::size_t most = most_connections(source, memory);
  return {std::min(source.first_connections(), most),
          most,
          std::max<std::size_t>(1, std::thread::hardware_concurrency())};
}

bool adapts(const sources::Source& source) {
  return source.first_connections() < source.max_connections();
}

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

// Times one body on its way to `sink`, by what this thread waits for. Confined to one thread.
class Run::Watch final : public base::BodySink {
 public:
  Watch(Run& run, base::BodySink& sink, Flight* flight)
      : run_(run), sink_(sink), flight_(flight), last_(now()) {
    if (flight_ != nullptr) {
      flight_->try_began(last_);
    }
  }

  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  ~Watch() override {
    (received_ == 0 ? run_.answers_ : run_.bytes_) += (now() - last_).count();
    if (flight_ != nullptr) {
      flight_->try_ended();
    }
    run_.sample();
  }

  std::span<std::byte> window() override {
    if (received_ % hash::kPieceBytes != 0) {
      return sink_.window();
    }
    // A piece begins: what there is to wait for now is memory.
    const TimePoint began = now();
    const std::span<std::byte> window = sink_.window();
    const Duration took = now() - began;
    run_.memory_ += took.count();
    last_ += took;
    return window;
  }

  Result<void> landed(std::size_t bytes) override {
    const TimePoint arrived = now();
    (received_ == 0 ? run_.answers_ : run_.bytes_) += (arrived - last_).count();
    if (received_ == 0) {
      run_.connections_.answered(arrived - last_);
    }
    auto landed = sink_.landed(bytes);
    last_ = now();
    run_.hash_ += (last_ - arrived).count();
    if (flight_ != nullptr) {
      flight_->received(bytes, last_);
    }
    const std::uint64_t before = std::exchange(received_, received_ + bytes);
    if (before / hash::kPieceBytes != received_ / hash::kPieceBytes) {
      run_.sample();
    }
    return landed;
  }

  std::uint64_t received() const { return received_; }

 private:
  TimePoint now() const { return run_.call_.clock().now(); }

  Run& run_;
  base::BodySink& sink_;
  Flight* const flight_;
  TimePoint last_;
  std::uint64_t received_ = 0;
};

Run::Run(const Call& call, const Plan& plan, const Setting& setting)
    : call_(call.stopped_by(stop_.get_token())),
      outer_stop_(call.stop(), [this] { stop_.request_stop(); }),
      source_(plan.source),
      progress_(setting.progress),
      options_(setting.options),
      random_(sync::seeded_random(setting.seed)),
      began_(call.clock().now()),
      received_before_(progress_.received_bytes),
      shared_{call_,
              setting.sink,
              setting.first_seen,
              setting.trees,
              scratch_,
              progress_,
              [this](const FileJob& job) { schedule_->hashed(job); },
              setting.local_proofs},
      connections_(call.clock(), bounds_of(source_, options_.memory)),
      hedges_(call.clock(), adapts(source_)) {}

std::optional<LocalProofs::Met> Run::meet(const model::File& file) {
  return shared_.local_proofs == nullptr
             ? std::nullopt
             : shared_.local_proofs->meet(call_, source_, file, options_.hash_always);
}

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
    FileJob::Subject subject{file,
                             first->file,
                             std::move(name),
                             source_.identity(file.path),
                             shared_.trees.find(file),
                             meet(file)};
    jobs_.push_back(std::make_unique<FileJob>(
        shared_, std::move(subject), std::span(first, last), options_.peek));
    for (const Pieces& run : jobs_.back()->pieces()) {
      wanted_bytes_ += hash::piece_range(run.end - 1, file.size).end -
                       hash::piece_range(run.begin, file.size).begin;
    }
    first = last;
  }
  progress_.wanted_bytes += wanted_bytes_;
  hedges_.set_wanted_bytes(wanted_bytes_);
  schedule_.emplace(jobs_, take_memory());
  return {};
}

// What cannot be had, of a memory that is smaller than the least, is used all the same: the run
// could not begin without it.
std::uint64_t Run::take_memory() {
  if (options_.memory == nullptr) {
    return Transfer::kWindowBytes;
  }
  const auto take = [&](std::uint64_t bytes) {
    return options_.memory->try_take(bytes).value_or(sync::Budget::Lease());
  };
  connection_memory_ =
      take(most_connections(source_, options_.memory) * Transfer::kConnectionBytes);
  const std::uint64_t window = std::clamp(
      options_.memory->limit_bytes() / kWindowShare, hash::kPieceBytes, Transfer::kWindowBytes);
  if (std::ranges::any_of(jobs_, [](const auto& job) { return job->in_order(); })) {
    window_memory_ = take(window);
  }
  return window;
}

Result<Report> Run::run(const model::Snapshot& snapshot, std::span<const Want> wants) {
  TRY(plan(snapshot, wants));
  shared_.sink.tell_of_room([this] { schedule_->room(); });
  thread_count_ = 1;  // this one
  add_threads();
  work(true);
  std::list<std::jthread> running;
  threads_.with([&](Threads& threads) {
    threads.closed = true;
    running.swap(threads.running);
  });
  running.clear();  // joins them
  if (shared_.local_proofs != nullptr) {
    shared_.local_proofs->remember();
  }
  shared_.sink.tell_of_room({});
  Report report;
  report.requests = requests_;
  report.retries = retries_;
  report.received_bytes = progress_.received_bytes - received_before_;
  report.explanation = std::make_shared<const Explanation>(explain());
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

Explanation Run::explain() const {
  Explanation told;
  const Pace pace = connections_.pace();
  told.took = call_.clock().now() - began_;
  told.adapts = adapts(source_);
  told.start_connections = source_.first_connections();
  told.most_connections = most_connections(source_, options_.memory);
  told.end_connections = pace.limit();
  told.peak_connections = connections_.peak();
  told.decisions = pace.decisions();
  told.requests = requests_;
  told.retries = retries_;
  told.least_request_bytes = std::min<std::uint64_t>(least_request_bytes_, most_request_bytes_);
  told.most_request_bytes = most_request_bytes_;
  told.wanted_bytes = wanted_bytes_;
  told.received_bytes = progress_.received_bytes - received_before_;
  told.hedges = hedges_.counts();
  told.times = {Duration(answers_),
                Duration(bytes_),
                Duration(hash_),
                Duration(memory_),
                Duration(turns_),
                Duration(pauses_)};
  for (const std::unique_ptr<FileJob>& job : jobs_) {
    ++told.files[job->file().method()];
  }
  return told;
}

void Run::add_threads() {
  const std::size_t wanted =
      std::min(connections_.limit(), thread_count_ + schedule_->requests_left());
  threads_.with([&](Threads& threads) {
    for (; thread_count_ < wanted && !threads.closed; ++thread_count_) {
      threads.running.emplace_back([this] { work(false); });
    }
  });
}

Schedule::Sizes Run::sizes() const {
  // A request of a quarter of a second, and of many times the wait for its first byte.
  constexpr std::chrono::milliseconds kUsual{250};
  constexpr int kWaits = 16;
  const Pace pace = connections_.pace();
  const auto rate = static_cast<double>(pace.connection_bytes_per_second());
  Schedule::Sizes sizes;
  sizes.connections = std::max<std::size_t>(1, pace.limit());
  if (rate > 0) {
    const auto pieces = [&](Duration duration) {
      const double count = rate * seconds(duration) / static_cast<double>(hash::kPieceBytes);
      return std::clamp<std::uint64_t>(static_cast<std::uint64_t>(count), 1, Schedule::kMostPieces);
    };
    sizes.most = pieces(std::max<Duration>(kUsual, pace.wait() * kWaits));
    sizes.least = std::min(sizes.most, pieces(pace.wait()));
  }
  return sizes;
}

void Run::work(bool is_last) {
  for (;;) {
    auto next = schedule_->next(call_, sizes(), [this] { return hedges_.look_at(); });
    if (!next.ok() || next->over) {
      return;  // stopped, timed out (run() says so), or nothing left
    }
    if (!next->request) {
      if (const auto lagging = hedges_.pick()) {
        hedge(lagging);
      }
      continue;
    }
    const Request& request = *next->request;
    auto fetched = fetch(request);
    if (!fetched.ok()) {
      failed(*request.job, std::move(fetched).error());
    }
    schedule_->finished(request);
    if (!is_last && is_too_many()) {
      return;
    }
  }
}

bool Run::is_too_many() {
  std::size_t count = thread_count_;
  while (count > connections_.limit()) {
    if (thread_count_.compare_exchange_weak(count, count - 1)) {
      return true;
    }
  }
  return false;
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

Error Run::named(const Request& request, base::Range rest, Error error) const {
  if (!error.file()) {
    error = std::move(error).in_file(request.job->name());
  }
  if (!error.offset()) {
    error = std::move(error).at(rest.begin);
  }
  if (error.code() == Code::kCorrupt) {
    return error;
  }
  return std::move(error).context(fmt::format("fetching bytes {}-{}", rest.begin, rest.end));
}

void Run::sample() {
  connections_.sampled(progress_.received_bytes - received_before_, Duration(hash_));
  if (connections_.limit() > thread_count_) {
    add_threads();
  }
}

Result<void> Run::read(const Call& call,
                       const Request& request,
                       base::Range range,
                       base::BodySink& sink,
                       Flight* flight) {
  const TimePoint asked = call.clock().now();
  auto turn = TRY(connections_.take(call));
  turns_ += (call.clock().now() - asked).count();
  ++requests_;
  const std::uint64_t bytes = range.size();
  for (auto least = least_request_bytes_.load();
       bytes < least && !least_request_bytes_.compare_exchange_weak(least, bytes);) {
  }
  for (auto most = most_request_bytes_.load();
       bytes > most && !most_request_bytes_.compare_exchange_weak(most, bytes);) {
  }
  Watch watch(*this, sink, flight);
  auto read = source_.read(call, request.job->asked_for(), range, watch);
  if (!read.ok() && call.check().ok()) {
    const Code code = read.error().code();
    if (code == Code::kBusy || code == Code::kUnavailable || code == Code::kTimedOut) {
      watch.received() == 0 ? connections_.refused(turn.epoch())
                            : connections_.broken(turn.epoch());
    }
  }
  return read;
}

Result<bool> Run::fetch_once(const Call& call, Flight& flight, Receiver& receiver) {
  const Request& request = flight.request();
  receiver.begin_body(request.stream);
  auto read = this->read(call, request, receiver.rest(), receiver, &flight);
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
Result<bool> Run::fetch_more(const Call& call, Flight& flight, Receiver& receiver) {
  const Request& request = flight.request();
  for (std::size_t unproved = 0; !request.job->given_up();) {
    const std::uint64_t before = receiver.handed_over();
    auto once = fetch_once(call, flight, receiver);
    if (once.ok()) {
      return true;
    }
    retries_ += call.check().ok() ? 1 : 0;  // else it was stopped
    Error error = std::move(once).error();
    const bool corrupt = error.code() == Code::kCorrupt;
    if (corrupt && !request.job->needs(receiver.piece())) {
      return error;  // the proof of the whole file, which cannot be tried again
    }
    if (receiver.handed_over() > before) {
      return false;
    }
    if (!corrupt || ++unproved >= Transfer::kProofTries) {
      return named(request, receiver.rest(), std::move(error));
    }
  }
  return true;
}

void Run::note_retry(const Request& request,
                     const Receiver& receiver,
                     const Error& error,
                     unsigned tries,
                     Duration pause) {
  pauses_ += pause.count();
  const base::Range rest = receiver.rest();
  progress_.notes.add(fmt::format("retrying {} bytes {}-{}: {}, in {:.1f} s (try {} of {})",
                                  request.job->name(),
                                  rest.begin,
                                  rest.end,
                                  error.message(),
                                  seconds(pause),
                                  tries + 1,
                                  Transfer::kTries));
}

Result<void> Run::fetch(const Request& request) {
  const TimePoint began = call_.clock().now();
  const std::shared_ptr<Flight> flight = hedges_.begin(request);
  const std::stop_callback forward(call_.stop(), [&] { flight->stop().request_stop(); });
  const Call call = call_.stopped_by(flight->stop().get_token());
  Receiver receiver(*request.job, request.run, progress_);
  sync::RetryPolicy policy;
  policy.max_tries = Transfer::kTries;
  policy.on_wait = [&](const Error& error, unsigned tries, Duration pause) {
    note_retry(request, receiver, error, tries, pause);
  };
  const sync::Retry retry(std::move(policy), random_);
  Result<bool> fetched = false;
  while (fetched.ok() && !*fetched) {
    fetched = retry.run(call, [&] { return fetch_more(call, *flight, receiver); });
  }
  if (hedges_.end(*flight, fetched.ok())) {
    return {};  // it was stopped for one that was faster, which goes on with what is left
  }
  if (fetched.ok()) {
    return {};
  }
  Error error = std::move(fetched).error();
  if (error.code() == Code::kCorrupt) {
    return error;
  }
  return std::move(error).context(
      fmt::format("after {:.1f} s", seconds(call_.clock().now() - began)));
}

void Run::hedge(const std::shared_ptr<Flight>& flight) {
  FileJob& job = *flight->request().job;
  schedule_->began_again(job);
  auto fetched = fetch_again(*flight);
  if (!fetched.ok()) {
    failed(job, std::move(fetched).error());
  }
  schedule_->finished(flight->request());
}

// An error only once the range is its own: before that it is still the first one's.
Result<void> Run::fetch_again(Flight& flight) {
  const Request& request = flight.request();
  HedgeReceiver receiver(
      *request.job, request.run, progress_, [&] { return hedges_.claim(flight); });
  Result<void> read;
  {
    const std::stop_callback forward(call_.stop(), [&] { flight.hedge_stop().request_stop(); });
    const Call call = call_.stopped_by(flight.hedge_stop().get_token());
    if (!receiver.done()) {
      read = this->read(call, request, receiver.range(), receiver, nullptr);
    }
  }
  hedges_.hedge_ended(flight);
  if (!receiver.claimed()) {
    return {};
  }
  if (!read.ok() && read.error().code() == Code::kCorrupt &&
      (receiver.done() || !request.job->needs(receiver.piece()))) {
    return read;
  }
  return receiver.done() ? Result<void>()
                         : fetch({request.job, {receiver.piece(), request.run.end}, false});
}

}  // namespace weighbridge::transfer
