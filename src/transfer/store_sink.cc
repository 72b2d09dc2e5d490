#include "transfer/store_sink.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "hash/hash_tree.h"

namespace weighbridge::transfer {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::uint64_t kRunBytes = StoreSink::kRunPieces * hash::kPieceBytes;

struct alignas(io::kDirectBytes) Memory {
  std::array<std::byte, kRunBytes> bytes;
};

// Pieces side by side, on their way to the disk.
struct Run {
  std::unique_ptr<Memory> memory;
  std::array<bool, StoreSink::kRunPieces> landed{};
  std::array<hash::ChainingValue, StoreSink::kRunPieces> values;

  std::span<std::byte> place(base::Range piece) const {
    return std::span(memory->bytes).subspan(piece.begin % kRunBytes, piece.size());
  }
};

// One file of the run. Guarded by the sink's mutex.
struct Target {
  store::Partial* partial = nullptr;
  bool whole = false;
  bool proved_whole = false;
  std::vector<bool> awaited;          // pieces that have not landed
  std::map<std::uint64_t, Run> runs;  // by number; only those in memory

  std::size_t awaited_of(std::uint64_t run) const {
    const std::uint64_t first = run * StoreSink::kRunPieces;
    const std::uint64_t end =
        std::min<std::uint64_t>(first + StoreSink::kRunPieces, awaited.size());
    return static_cast<std::size_t>(std::count(awaited.begin() + static_cast<std::ptrdiff_t>(first),
                                               awaited.begin() + static_cast<std::ptrdiff_t>(end),
                                               true));
  }
};

std::uint64_t piece_of(base::Range piece) {
  return piece.begin / hash::kPieceBytes;
}

// Writes what has landed of a run, in as few steps as it lies in.
Result<void> write_run(store::Partial& partial, std::uint64_t number, const Run& run) {
  const std::uint64_t first = number * StoreSink::kRunPieces;
  for (std::size_t i = 0; i < run.landed.size(); ++i) {
    if (!run.landed[i]) {
      continue;
    }
    std::size_t end = i + 1;
    while (end < run.landed.size() && run.landed[end]) {
      ++end;
    }
    const base::Range bytes{hash::piece_range(first + i, partial.file().size).begin,
                            hash::piece_range(first + end - 1, partial.file().size).end};
    TRY(partial.write(first + i, run.place(bytes), std::span(run.values).subspan(i, end - i)));
    i = end;
  }
  return {};
}

}  // namespace

struct StoreSink::State {
  explicit State(PullProgress& told) : progress(told) {}

  PullProgress& progress;
  std::mutex mutex;
  std::unordered_map<const model::File*, Target> targets;
  std::vector<std::unique_ptr<Memory>> free;
  std::size_t in_use = 0;

  // Null if too many are in use.
  Run* run_for(Target& target, std::uint64_t number) {
    const auto found = target.runs.find(number);
    if (found != target.runs.end()) {
      return &found->second;
    }
    // One piece alone is written from where it was received.
    if (target.whole || target.awaited_of(number) < 2 || in_use >= kBuffers) {
      return nullptr;
    }
    Run run;
    if (free.empty()) {
      run.memory = std::make_unique_for_overwrite<Memory>();
    } else {
      run.memory = std::move(free.back());
      free.pop_back();
    }
    ++in_use;
    return &target.runs.emplace(number, std::move(run)).first->second;
  }

  void give_back(Run run) {
    free.push_back(std::move(run.memory));
    --in_use;
  }
};

StoreSink::StoreSink(PullProgress& progress) : state_(std::make_unique<State>(progress)) {}

StoreSink::~StoreSink() = default;

void StoreSink::add(const model::File& file, store::Partial& partial, bool whole) {
  Target target;
  target.partial = &partial;
  target.whole = whole;
  target.awaited.resize(hash::piece_count(file.size));
  for (std::uint64_t piece = 0; piece < target.awaited.size(); ++piece) {
    target.awaited[piece] = !partial.has(piece);
  }
  state_->targets.insert_or_assign(&file, std::move(target));
}

Result<std::span<std::byte>> StoreSink::place(const model::File& file, base::Range piece) {
  const std::scoped_lock lock(state_->mutex);
  Target& target = state_->targets.at(&file);
  const Run* const run = state_->run_for(target, piece_of(piece) / kRunPieces);
  return run == nullptr ? std::span<std::byte>() : run->place(piece);
}

Result<void> StoreSink::landed(const model::File&, base::Range, std::span<const std::byte>) {
  return Error(Code::kInternal, "a piece landed without its value");
}

Result<void> StoreSink::landed_as(const model::File& file,
                                  base::Range range,
                                  std::span<const std::byte> bytes,
                                  const hash::ChainingValue& value) {
  const std::uint64_t piece = piece_of(range);
  const std::uint64_t number = piece / kRunPieces;
  std::unique_lock lock(state_->mutex);
  Target& target = state_->targets.at(&file);
  const auto found = target.runs.find(number);
  if (found == target.runs.end()) {
    target.awaited[piece] = false;
    lock.unlock();
    auto written = target.partial->write(piece, bytes, {&value, 1});
    if (!written.ok()) {
      lock.lock();
      target.awaited[piece] = true;
      return written;
    }
    state_->progress.grew(file.path, range.size());
    return {};
  }
  const std::size_t slot = piece % kRunPieces;
  const std::span<std::byte> place = found->second.place(range);
  if (place.data() != bytes.data()) {
    std::memcpy(place.data(), bytes.data(), bytes.size());
  }
  found->second.landed[slot] = true;
  found->second.values[slot] = value;
  target.awaited[piece] = false;
  if (target.awaited_of(number) > 0) {
    lock.unlock();
    state_->progress.grew(file.path, range.size());
    return {};
  }
  Run run = std::move(found->second);
  target.runs.erase(found);
  lock.unlock();
  auto written = write_run(*target.partial, number, run);
  lock.lock();
  if (!written.ok()) {
    // Its neighbours have landed for good; this one is the engine's to try again.
    run.landed[slot] = false;
    target.awaited[piece] = true;
    target.runs.emplace(number, std::move(run));
    return written;
  }
  state_->give_back(std::move(run));
  lock.unlock();
  state_->progress.grew(file.path, range.size());
  return {};
}

Result<void> StoreSink::publish(const model::File& file, base::Range, model::Proof proof) {
  if (proof.method == model::Method::kSha256) {
    const std::scoped_lock lock(state_->mutex);
    state_->targets.at(&file).proved_whole = true;
  }
  return {};
}

void StoreSink::abandon(const model::File& file, const Error& error) {
  const std::scoped_lock lock(state_->mutex);
  const Target& target = state_->targets.at(&file);
  // All of it is there, and as a whole it is not what was named.
  if (target.whole && error.code() == Code::kCorrupt && target.partial->missing().empty()) {
    target.partial->discard();
  }
}

Result<void> StoreSink::finish() {
  const std::scoped_lock lock(state_->mutex);
  Result<void> finished;
  for (auto& [file, target] : state_->targets) {
    for (auto& [number, run] : target.runs) {
      auto written = write_run(*target.partial, number, run);
      if (!written.ok() && finished.ok()) {
        finished = std::move(written);
      }
      state_->give_back(std::move(run));
    }
    target.runs.clear();
  }
  return finished;
}

bool StoreSink::is_proved_whole(const model::File& file) const {
  const std::scoped_lock lock(state_->mutex);
  return state_->targets.at(&file).proved_whole;
}

}  // namespace weighbridge::transfer
