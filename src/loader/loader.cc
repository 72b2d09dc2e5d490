#include "loader/loader.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <stop_token>
#include <thread>
#include <utility>

#include "base/units.h"
#include "hash/hash_tree.h"
#include "loader/arrivals.h"
#include "loader/filter.h"
#include "loader/placement.h"
#include "loader/required_proof.h"
#include "loader/tensor_sink.h"
#include "sync/budget.h"
#include "sync/guarded.h"
#include "transfer/content_id.h"
#include "transfer/resolve.h"

namespace weighbridge::loader {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

// Of a bounded load, as many slabs as are filled, wait to be taken and are made ready.
constexpr std::uint64_t kSlabsAtOnce = 8;

// Thread-safe.
class RunningLoader final : public Loader {
 public:
  RunningLoader(const Parts& parts, index::Index index, std::uint64_t memory_bytes)
      : source_(parts.source),
        transfer_(parts.transfer),
        pool_(parts.pool),
        index_(std::move(index)),
        budget_(memory_bytes > 0 ? std::make_unique<sync::Budget>(memory_bytes) : nullptr),
        sink_([this](std::span<const TensorSink::Arrival> arrived) { hand_over(arrived); },
              budget_.get()) {}

  RunningLoader(const RunningLoader&) = delete;
  RunningLoader& operator=(const RunningLoader&) = delete;

  ~RunningLoader() override {
    stop_.request_stop();
    if (worker_.joinable()) {
      worker_.join();
    }
  }

  Result<void> start(const Call& call, Filter filter);

  const index::Index& index() const override { return index_; }

  const transfer::Progress& progress() const override { return progress_; }

  std::uint64_t wanted_bytes() const override { return wanted_bytes_; }

  Result<std::optional<Tensor>> next(const Call& call) override {
    const auto arrival = TRY(arrivals_.pop(call));
    if (arrival) {
      return std::optional(sink_.take(*arrival));
    }
    const std::optional<Error> error = end_.with([](const End& end) -> std::optional<Error> {
      return end.error ? std::optional(end.error->copy()) : std::nullopt;
    });
    return error ? Result<std::optional<Tensor>>(error->copy()) : std::optional<Tensor>();
  }

  LoadReport report() const override {
    return end_.with([](const End& end) {
      LoadReport report;
      report.tensors = end.tensors;
      report.proof_bytes = end.proof_bytes;
      for (const auto& [trust, bytes] : end.proof_bytes) {
        report.bytes += bytes;
      }
      report.content_id = end.content_id;
      report.transfer.requests = end.requests;
      report.transfer.retries = end.retries;
      report.transfer.received_bytes = end.received_bytes;
      report.transfer.explanation = end.explanation;
      return report;
    });
  }

 private:
  struct End {
    std::uint64_t tensors = 0;
    std::map<model::Trust, std::uint64_t> proof_bytes;
    std::optional<hash::Root> content_id;
    std::uint64_t requests = 0;
    std::uint64_t retries = 0;
    std::uint64_t received_bytes = 0;
    std::shared_ptr<const transfer::Explanation> explanation;
    std::optional<Error> error;
  };

  // Places a file's wanted tensors and says what is still to be read of it.
  Result<void> add(std::size_t i, Filter& filter);
  void want(std::size_t file, base::Range range);
  Placement::Options placing() const;
  // Feeds what the Index has read already.
  Result<void> feed(const model::File& file, std::span<const std::byte> prefix, model::Proof proof);
  void work(const Call& call);
  void hand_over(std::span<const TensorSink::Arrival> arrived);

  sources::Source& source_;
  transfer::Transfer& transfer_;
  device::HostPool& pool_;
  index::Index index_;
  const std::unique_ptr<sync::Budget> budget_;  // null: no bound
  transfer::Progress progress_;
  std::uint64_t wanted_bytes_ = 0;
  Arrivals arrivals_;
  sync::Guarded<End> end_;
  TensorSink sink_;
  std::vector<transfer::Want> wants_;
  std::stop_source stop_;
  std::jthread worker_;
};

Result<void> RunningLoader::start(const Call& call, Filter filter) {
  for (std::size_t i = 0; i < index_.files().size(); ++i) {
    TRY(add(i, filter));
  }
  TRY(filter.all_used(index_.snapshot().origin));
  worker_ = std::jthread([this, call] {
    const std::stop_callback forward(call.stop(), [this] { stop_.request_stop(); });
    work(call.stopped_by(stop_.get_token()));
  });
  return {};
}

Placement::Options RunningLoader::placing() const {
  if (budget_ == nullptr) {
    return {};
  }
  return {std::clamp(budget_->limit_bytes() / kSlabsAtOnce, base::kMiB, Placement::kSlabBytes),
          true};
}

// Touching ranges become one: there may be a million tensors.
void RunningLoader::want(std::size_t file, base::Range range) {
  if (range.empty()) {
    return;
  }
  if (!wants_.empty() && wants_.back().file == file && wants_.back().range.end == range.begin) {
    wants_.back().range.end = range.end;
  } else {
    wants_.push_back({file, range});
  }
}

Result<void> RunningLoader::add(std::size_t i, Filter& filter) {
  const index::IndexedFile& indexed = index_.files()[i];
  const model::File& file = index_.snapshot().files[indexed.file];
  const model::TensorTable& table = indexed.table->tensors;
  std::vector<std::uint32_t> wanted;
  wanted.reserve(table.size());
  for (std::size_t tensor = 0; tensor < table.size(); ++tensor) {
    if (filter.wants(table[tensor].name)) {
      wanted.push_back(static_cast<std::uint32_t>(tensor));
      wanted_bytes_ += table.bytes_of(tensor).size();
    }
  }
  const transfer::Bytes prefix = index_.take_prefix(i);
  if (wanted.empty()) {
    return {};
  }
  auto shared = std::make_shared<const TensorFile>(TensorFile{file.path, indexed.table});
  Placement placement = TRY(Placement::plan(pool_, std::move(shared), wanted, placing()));
  const bool unproved = indexed.proof.trust == model::Trust::kNone;
  const bool twice = budget_ != nullptr && transfer::is_read_twice(file, budget_->limit_bytes());
  sink_.add({file, std::move(placement), indexed.looked_at, unproved && !twice});
  if (unproved && !twice) {
    want(indexed.file, {0, file.size});  // proved as a whole, or not at all
    return {};
  }
  if (unproved) {
    want(indexed.file, {0, indexed.table->header.end});  // it is held to what was looked at
  }
  // Slabs are admitted in the order of the load, which fronts of all files at once are not.
  const auto front = prefix.span().first(budget_ == nullptr ? prefix.span().size() : 0);
  TRY(feed(file, front, indexed.proof));
  if (front.empty()) {
    want(indexed.file, {0, 1});  // with its front the file's empty tensors are proved
  }
  for (const std::uint32_t tensor : wanted) {
    const base::Range range = table.bytes_of(tensor);
    want(indexed.file, {std::max<std::uint64_t>(range.begin, front.size()), range.end});
  }
  return {};
}

Result<void> RunningLoader::feed(const model::File& file,
                                 std::span<const std::byte> prefix,
                                 model::Proof proof) {
  for (std::uint64_t at = 0; at < prefix.size(); at += hash::kPieceBytes) {
    const base::Range piece{at, std::min<std::uint64_t>(at + hash::kPieceBytes, prefix.size())};
    TRY(sink_.landed(file, piece, prefix.subspan(piece.begin, piece.size())));
    TRY(sink_.publish(file, piece, proof));
  }
  return {};
}

void RunningLoader::work(const Call& call) {
  auto report = transfer_.run(
      call, {source_, index_.snapshot(), wants_}, sink_, progress_, {.memory = budget_.get()});
  const std::optional<hash::Root> id = transfer::content_id_of(
      index_.snapshot(), source_, transfer_.first_seen(), transfer_.trees());
  end_.with([&](End& end) {
    if (report.ok()) {
      end.requests = report->requests;
      end.retries = report->retries;
      end.received_bytes = report->received_bytes;
      end.explanation = report->explanation;
      end.content_id = id;
    } else {
      end.error = std::move(report).error();
    }
  });
  arrivals_.close();
}

void RunningLoader::hand_over(std::span<const TensorSink::Arrival> arrived) {
  end_.with([&](End& end) {
    for (const TensorSink::Arrival& arrival : arrived) {
      end.proof_bytes[arrival.proof.trust] += sink_.size_of(arrival);
    }
    end.tensors += arrived.size();
  });
  arrivals_.push(arrived);
}

}  // namespace

Loader::~Loader() = default;

Result<std::vector<Tensor>> Loader::all(const Call& call) {
  std::vector<Tensor> tensors;
  tensors.reserve(index().tensor_count());
  while (auto tensor = TRY(next(call))) {
    tensors.push_back(std::move(*tensor));
  }
  return tensors;
}

Result<std::unique_ptr<Loader>> Loader::open(const Call& call,
                                             const Parts& parts,
                                             const model::Ref& ref,
                                             LoadOptions options) {
  model::Snapshot snapshot = TRY(transfer::resolve(call, parts.source, ref));
  index::Index index =
      TRY(index::Index::open(call, parts.transfer, parts.source, std::move(snapshot)));
  TRY(require_proof(index, options.least_trust));
  auto loader = std::make_unique<RunningLoader>(parts, std::move(index), options.memory_bytes);
  TRY(loader->start(call, Filter(std::move(options.filters))));
  return std::unique_ptr<Loader>(std::move(loader));
}

}  // namespace weighbridge::loader
