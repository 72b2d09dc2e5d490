#include "loader/loader.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <stop_token>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "hash/hash_tree.h"
#include "loader/placement.h"
#include "loader/required_proof.h"
#include "loader/tensor_sink.h"
#include "sync/bounded_queue.h"
#include "sync/guarded.h"
#include "transfer/content_id.h"
#include "transfer/resolve.h"

namespace weighbridge::loader {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

// The tensors that a list of patterns wants.
class Filter {
 public:
  explicit Filter(std::vector<std::string> patterns)
      : patterns_(std::move(patterns)), used_(patterns_.size()) {}

  bool wants(const std::string& name) {
    bool wanted = patterns_.empty();
    for (std::size_t i = 0; i < patterns_.size(); ++i) {
      if (base::glob_match(patterns_[i], name)) {
        wanted = true;
        used_[i] = true;
      }
    }
    return wanted;
  }

  // A pattern that matches nothing is a mistake, and half a model looks whole.
  Result<void> all_used(const std::string& origin) const {
    const auto unused = std::find(used_.begin(), used_.end(), false);
    if (unused == used_.end()) {
      return {};
    }
    const auto i = static_cast<std::size_t>(unused - used_.begin());
    return Error(Code::kNotFound,
                 fmt::format("no tensor matches '{}'", base::printable(patterns_[i])))
        .in_file(origin)
        .with_hint("`weighbridge inspect` lists the names.");
  }

 private:
  const std::vector<std::string> patterns_;
  std::vector<bool> used_;
};

// Thread-safe.
class RunningLoader final : public Loader {
 public:
  RunningLoader(sources::Source& source, transfer::Transfer& transfer, index::Index index)
      : source_(source),
        transfer_(transfer),
        index_(std::move(index)),
        ready_(index_.tensor_count() + 1),
        sink_([this](Tensor tensor) { hand_over(std::move(tensor)); }) {}

  RunningLoader(const RunningLoader&) = delete;
  RunningLoader& operator=(const RunningLoader&) = delete;

  ~RunningLoader() override {
    stop_.request_stop();
    if (worker_.joinable()) {
      worker_.join();
    }
  }

  Result<void> start(const Call& call, device::HostPool& pool, Filter filter);

  const index::Index& index() const override { return index_; }

  const transfer::Progress& progress() const override { return progress_; }

  std::uint64_t wanted_bytes() const override { return wanted_bytes_; }

  Result<std::optional<Tensor>> next(const Call& call) override {
    auto tensor = TRY(ready_.pop(call));
    if (tensor) {
      return tensor;
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
  Result<void> add(std::size_t i, device::HostPool& pool, Filter& filter);
  // Feeds what the Index has read already.
  Result<void> feed(const model::File& file, std::span<const std::byte> prefix, model::Proof proof);
  void work(const Call& call);
  void hand_over(Tensor tensor);

  sources::Source& source_;
  transfer::Transfer& transfer_;
  index::Index index_;
  transfer::Progress progress_;
  std::uint64_t wanted_bytes_ = 0;
  sync::BoundedQueue<Tensor> ready_;  // has room for all of them
  sync::Guarded<End> end_;
  TensorSink sink_;
  std::vector<transfer::Want> wants_;
  std::stop_source stop_;
  std::jthread worker_;
};

Result<void> RunningLoader::start(const Call& call, device::HostPool& pool, Filter filter) {
  for (std::size_t i = 0; i < index_.files().size(); ++i) {
    TRY(add(i, pool, filter));
  }
  TRY(filter.all_used(index_.snapshot().origin));
  worker_ = std::jthread([this, call] {
    const std::stop_callback forward(call.stop(), [this] { stop_.request_stop(); });
    work(call.stopped_by(stop_.get_token()));
  });
  return {};
}

Result<void> RunningLoader::add(std::size_t i, device::HostPool& pool, Filter& filter) {
  const index::IndexedFile& indexed = index_.files()[i];
  const model::File& file = index_.snapshot().files[indexed.file];
  const model::Proof proof = indexed.proof;
  std::vector<const model::TensorEntry*> wanted;
  for (const model::TensorEntry& tensor : indexed.table.tensors) {
    if (filter.wants(tensor.name)) {
      wanted.push_back(&tensor);
      wanted_bytes_ += tensor.bytes.size();
    }
  }
  std::vector<std::byte> prefix = index_.take_prefix(i);
  if (wanted.empty()) {
    return {};
  }
  Placement placement = TRY(Placement::plan(pool, wanted));
  if (proof.trust == model::Trust::kNone) {
    sink_.add(file, std::move(placement), std::move(prefix));
    wants_.push_back({indexed.file, {0, file.size}});  // proved as a whole, or not at all
    return {};
  }
  sink_.add(file, std::move(placement));
  TRY(feed(file, prefix, proof));
  if (prefix.empty()) {
    wants_.push_back({indexed.file, {0, 1}});  // with its front the file's empty tensors are proved
  }
  for (const model::TensorEntry* tensor : wanted) {
    const base::Range rest{std::max<std::uint64_t>(tensor->bytes.begin, prefix.size()),
                           tensor->bytes.end};
    if (!rest.empty()) {
      wants_.push_back({indexed.file, rest});
    }
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
  auto report = transfer_.run(call, {source_, index_.snapshot(), wants_}, sink_, progress_);
  const std::optional<hash::Root> id =
      transfer::content_id_of(index_.snapshot(), source_, transfer_.first_seen());
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
  ready_.close();
}

void RunningLoader::hand_over(Tensor tensor) {
  end_.with([&](End& end) {
    ++end.tensors;
    end.proof_bytes[tensor.proof.trust] += tensor.bytes.size();
  });
  // The queue has room for every tensor there is, so this neither waits nor fails.
  const auto pushed = ready_.push(Call(base::system_clock()), std::move(tensor));
  WB_CHECK(pushed.ok(), "the queue of ready tensors is closed only after the last of them");
}

}  // namespace

Loader::~Loader() = default;

Result<std::vector<Tensor>> Loader::all(const Call& call) {
  std::vector<Tensor> tensors;
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
  auto loader = std::make_unique<RunningLoader>(parts.source, parts.transfer, std::move(index));
  TRY(loader->start(call, parts.pool, Filter(std::move(options.filters))));
  return std::unique_ptr<Loader>(std::move(loader));
}

}  // namespace weighbridge::loader
