#include "transfer/transfer.h"

#include <set>
#include <utility>

#include "transfer/run.h"

namespace weighbridge::transfer {
namespace {

using base::Call;
using base::Result;

// Keeps every tree that one run has computed, and asks others for the rest. Thread-safe.
class TreesOfRun final : public KnownTrees {
 public:
  explicit TreesOfRun(KnownTrees& others) : others_(others) {}

  std::shared_ptr<const HashTree> find(const model::File& file) override {
    auto tree = own_.with([&](const auto& own) -> std::shared_ptr<const HashTree> {
      const auto found = own.find(&file);
      return found == own.end() ? nullptr : found->second;
    });
    return tree != nullptr ? tree : others_.find(file);
  }

  void remember(const model::File& file, std::shared_ptr<const HashTree> tree) override {
    own_.with([&](auto& own) { own.insert_or_assign(&file, tree); });
    others_.remember(file, std::move(tree));
  }

 private:
  KnownTrees& others_;
  sync::Guarded<std::map<const model::File*, std::shared_ptr<const HashTree>>> own_;
};

// The files whose trees must be known before the bytes they prove can be let go piece by piece.
std::vector<Want> read_first(const Plan& plan, KnownTrees& trees, std::uint64_t memory_bytes) {
  std::set<std::size_t> files;
  for (const Want& want : plan.wants) {
    files.insert(want.file);
  }
  std::vector<Want> wants;
  for (const std::size_t i : files) {
    const model::File& file = plan.snapshot.files[i];
    if (is_read_twice(file, memory_bytes) && trees.find(file) == nullptr) {
      wants.push_back({i, {0, file.size}});
    }
  }
  return wants;
}

}  // namespace

Result<Report> Transfer::run(
    const Call& call, const Plan& plan, Sink& sink, Progress& progress, RunOptions options) {
  TreesOfRun trees(trees_);
  std::vector<std::string> twice;
  if (options.memory != nullptr && !options.peek) {
    const auto wants = read_first(plan, trees_, options.memory->limit_bytes());
    DiscardingSink nobody;
    if (!wants.empty()) {
      TRY(Run(call, plan, {nobody, progress, first_seen_, local_proofs_, trees, seed_++, options})
              .run(plan.snapshot, wants));
    }
    for (const Want& want : wants) {
      twice.push_back(plan.source.printable(plan.snapshot.files[want.file].path));
    }
  }
  Report report =
      TRY(Run(call, plan, {sink, progress, first_seen_, local_proofs_, trees, seed_++, options})
              .run(plan.snapshot, plan.wants));
  if (!twice.empty()) {
    Explanation told = *report.explanation;
    told.read_twice = std::move(twice);
    report.explanation = std::make_shared<const Explanation>(std::move(told));
  }
  return report;
}

}  // namespace weighbridge::transfer
