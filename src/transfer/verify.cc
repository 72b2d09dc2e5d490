#include "transfer/verify.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"

namespace weighbridge::transfer {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

Result<void> all_vouched_for(const model::Snapshot& snapshot) {
  const auto unproved =
      std::find_if(snapshot.files.begin(), snapshot.files.end(), [](const model::File& file) {
        return file.method() == model::Method::kNothing;
      });
  if (unproved == snapshot.files.end() && snapshot.listed) {
    return {};
  }
  return Error(Code::kInvalid, "nothing says what these files should be: no seal and no pin")
      .in_file(snapshot.origin)
      .with_hint(
          "Seal the directory where the files are right (`weighbridge seal DIR`), or pin the "
          "file with #sha256= or #blake3=.");
}

Result<std::vector<std::string>> unlisted_files(const Call& call,
                                                sources::Source& source,
                                                const model::Snapshot& snapshot) {
  std::vector<std::string> unlisted;
  if (!TRY(source.single_file(call)).empty()) {
    return unlisted;
  }
  const auto listing = TRY(source.list(call));
  if (!listing) {
    return unlisted;
  }
  const auto add = [&](const std::string& path) {
    if (snapshot.find(path) == nullptr) {
      unlisted.push_back(path);
    }
  };
  for (const model::File& file : listing->files) {
    add(file.path);
  }
  for (const sources::Listing::Refused& refused : listing->refused) {
    add(refused.path);
  }
  std::sort(unlisted.begin(), unlisted.end());
  return unlisted;
}

}  // namespace

Result<Verification> verify(const Call& call,
                            sources::Source& source,
                            const model::Snapshot& snapshot,
                            Transfer& transfer,
                            Progress& progress) {
  TRY(all_vouched_for(snapshot));
  Verification verification;
  verification.unlisted = TRY(unlisted_files(call, source, snapshot));
  std::vector<Want> wants;
  for (std::size_t i = 0; i < snapshot.files.size(); ++i) {
    wants.push_back({i, {0, snapshot.files[i].size}});
    ++verification.files;
    verification.bytes += snapshot.files[i].size;
  }
  DiscardingSink sink;
  Report report =
      TRY(transfer.run(call, {source, snapshot, wants}, sink, progress, {.keep_going = true}));
  for (FileFailure& failure : report.failures) {
    verification.failed.push_back({snapshot.files[failure.file].path, std::move(failure.error)});
  }
  std::sort(verification.failed.begin(),
            verification.failed.end(),
            [](const auto& a, const auto& b) { return a.path < b.path; });
  return verification;
}

}  // namespace weighbridge::transfer
