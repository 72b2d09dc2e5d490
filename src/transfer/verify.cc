#include "transfer/verify.h"

#include <algorithm>
#include <iterator>
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

// What stands in the directory, or nothing if one file alone is named or none can be listed.
Result<std::optional<sources::Listing>> list_directory(const Call& call, sources::Source& source) {
  if (!TRY(source.single_file(call)).empty()) {
    return std::optional<sources::Listing>();
  }
  return source.list(call);
}

std::vector<std::string> unlisted_files(const sources::Listing& listing,
                                        const model::Snapshot& snapshot) {
  std::vector<std::string> unlisted;
  const auto add = [&](const std::string& path) {
    if (snapshot.find(path) == nullptr) {
      unlisted.push_back(path);
    }
  };
  for (const model::File& file : listing.files) {
    add(file.path);
  }
  for (const model::Refused& refused : listing.refused) {
    add(refused.path);
  }
  std::sort(unlisted.begin(), unlisted.end());
  return unlisted;
}

// It is sealed and part of the content_id, and no byte of the file tells it. A file whose bytes
// have failed already is not named again. `failed` is in order of paths, and stays so.
void compare_executable_bits(const sources::Source& source,
                             const sources::Listing& listing,
                             const model::Snapshot& snapshot,
                             std::vector<Verification::Failed>& failed) {
  std::vector<Verification::Failed> others;
  for (const model::File& file : listing.files) {
    const model::File* const sealed = snapshot.find(file.path);
    if (sealed == nullptr || sealed->executable == file.executable ||
        std::ranges::binary_search(failed, file.path, {}, &Verification::Failed::path)) {
      continue;
    }
    Error error(Code::kCorrupt,
                fmt::format("the executable bit is {}, the seal says {}",
                            file.executable ? "set" : "not set",
                            sealed->executable ? "set" : "not set"));
    others.push_back({file.path, std::move(error).in_file(source.printable(file.path))});
  }
  std::ranges::move(others, std::back_inserter(failed));
  std::ranges::sort(failed, {}, &Verification::Failed::path);
}

}  // namespace

Result<Verification> verify(const Call& call,
                            sources::Source& source,
                            const model::Snapshot& snapshot,
                            Transfer& transfer,
                            Progress& progress) {
  TRY(all_vouched_for(snapshot));
  Verification verification;
  const auto listing = TRY(list_directory(call, source));
  std::vector<Want> wants;
  for (std::size_t i = 0; i < snapshot.files.size(); ++i) {
    wants.push_back({i, {0, snapshot.files[i].size}});
    ++verification.files;
  }
  DiscardingSink sink;
  Report report = TRY(transfer.run(
      call, {source, snapshot, wants}, sink, progress, {.keep_going = true, .hash_always = true}));
  verification.bytes = report.received_bytes;
  verification.explanation = report.explanation;
  for (FileFailure& failure : report.failures) {
    verification.failed.push_back({snapshot.files[failure.file].path, std::move(failure.error)});
  }
  std::ranges::sort(verification.failed, {}, &Verification::Failed::path);
  if (listing) {
    verification.unlisted = unlisted_files(*listing, snapshot);
    compare_executable_bits(source, *listing, snapshot, verification.failed);
  }
  return verification;
}

}  // namespace weighbridge::transfer
