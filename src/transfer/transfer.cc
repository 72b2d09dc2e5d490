#include "transfer/transfer.h"

#include "transfer/run.h"

namespace weighbridge::transfer {

base::Result<Report> Transfer::run(
    const base::Call& call, const Plan& plan, Sink& sink, Progress& progress, RunOptions options) {
  return Run(call, plan, {sink, progress, first_seen_, local_proofs_, seed_++, options})
      .run(plan.snapshot, plan.wants);
}

}  // namespace weighbridge::transfer
