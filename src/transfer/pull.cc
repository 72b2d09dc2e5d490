#include "transfer/pull.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "hash/sha256.h"
#include "transfer/fetch_blobs.h"
#include "transfer/resolve.h"
#include "transfer/store_source.h"

namespace weighbridge::transfer {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

namespace {

// So often others may evict what was just made before it has its place in the snapshot.
constexpr int kTries = 3;

std::uint64_t seconds_now(const base::Clock& clock) {
  const auto since = clock.wall_now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::seconds>(since).count()));
}

// Keeps the files that one of the patterns matches.
Result<void> select(const std::vector<std::string>& filters, model::Snapshot& snapshot) {
  for (const std::string& filter : filters) {
    const bool matches = std::ranges::any_of(snapshot.files, [&](const model::File& file) {
      return base::glob_match(filter, file.path);
    });
    if (!matches) {
      return Error(Code::kNotFound, fmt::format("no file matches '{}'", base::printable(filter)))
          .in_file(snapshot.origin);
    }
  }
  if (!filters.empty()) {
    std::erase_if(snapshot.files, [&](const model::File& file) {
      return std::ranges::none_of(
          filters, [&](const auto& filter) { return base::glob_match(filter, file.path); });
    });
    snapshot.content_id = model::content_id(snapshot.files);
  }
  return {};
}

Result<void> check_whole(const model::Snapshot& snapshot) {
  if (!snapshot.refused.empty()) {
    const model::Refused& first = snapshot.refused.front();
    return Error(Code::kInvalid,
                 fmt::format("{} of {} cannot be pulled: {}",
                             base::printable(first.path),
                             snapshot.origin,
                             first.reason))
        .in_file(base::printable(first.path));
  }
  if (!snapshot.listed) {
    return Error(Code::kUnsupported, "nothing says which files there are: no seal, and no listing")
        .in_file(snapshot.origin)
        .with_hint("Seal the directory where it lies (`weighbridge seal`), or name one file.");
  }
  if (snapshot.files.empty()) {
    return Error(Code::kNotFound, "there are no files").in_file(snapshot.origin);
  }
  return {};
}

model::Trust least_trust(const model::Snapshot& snapshot) {
  model::Trust least = model::Trust::kPinned;
  for (const model::File& file : snapshot.files) {
    const bool is_named = file.trust != model::Trust::kNone;
    least = std::min(least, is_named ? file.trust : model::Trust::kFirstSeen);
  }
  return least;
}

store::RefRecord record_of(const Call& call,
                           const model::Ref& ref,
                           const model::Snapshot& snapshot,
                           const std::optional<StoreSource::GivenSeal>& seal) {
  store::RefRecord record;
  record.ref = ref.printable();
  record.seal_sha256 = snapshot.seal_sha256;
  record.trust = least_trust(snapshot);
  record.resolved_s = seconds_now(call.clock());
  if (snapshot.seal_sha256 && seal) {
    record.files.push_back({std::string(formats::kSealName), seal->bytes.size(), seal->validator});
  } else {
    for (const model::File& file : snapshot.files) {
      record.files.push_back({file.path, file.size, file.validator});
    }
  }
  return record;
}

}  // namespace

std::vector<PullProgress::OneFile> PullProgress::under_way() const {
  return under_way_.with([](const auto& open) {
    std::vector<OneFile> listed;
    for (const auto& [path, file] : open) {
      listed.push_back(file);
    }
    return listed;
  });
}

void PullProgress::began(const model::File& file, std::uint64_t there) {
  there_bytes += there;
  under_way_.with([&](auto& open) {
    open.insert_or_assign(file.path, OneFile{file.path, file.size, there});
  });
}

void PullProgress::grew(const std::string& path, std::uint64_t more) {
  there_bytes += more;
  under_way_.with([&](auto& open) {
    const auto found = open.find(path);
    if (found != open.end()) {
      found->second.there_bytes += more;
    }
  });
}

void PullProgress::ended(const std::string& path, bool is_there) {
  files_done += is_there ? 1 : 0;
  under_way_.with([&](auto& open) { open.erase(path); });
}

Result<Resolved> resolve_for_pull(const Call& call,
                                  const PullParts& parts,
                                  const model::Ref& ref,
                                  const PullOptions& options) {
  const auto source = TRY(
      StoreSource::open(parts.store,
                        parts.origin,
                        ref,
                        {.offline = options.offline, .note_validators = parts.origin != nullptr}));
  Resolved resolved;
  resolved.snapshot = TRY(resolve(call, *source, ref));
  TRY(check_whole(resolved.snapshot));
  TRY(select(options.filters, resolved.snapshot));
  const auto seal = source->given_seal();
  if (resolved.snapshot.seal_sha256 && seal) {
    resolved.seal = TRY(formats::parse_seal(seal->bytes));
    resolved.seal_bytes = seal->bytes;
  }
  resolved.record = record_of(call, ref, resolved.snapshot, seal);
  return resolved;
}

Result<Resolved> resolve_at_origin(const Call& call,
                                   sources::Source& origin,
                                   const model::Ref& ref,
                                   const std::vector<std::string>& filters) {
  Resolved resolved;
  resolved.snapshot = TRY(resolve(call, origin, ref));
  TRY(check_whole(resolved.snapshot));
  TRY(select(filters, resolved.snapshot));
  if (resolved.snapshot.seal_sha256) {
    const auto bytes = TRY(origin.seal(call));
    if (!bytes || hash::Sha256::of(*bytes) != *resolved.snapshot.seal_sha256) {
      return Error(Code::kConflict, "the seal changed while it was being read")
          .in_file(origin.printable(formats::kSealName));
    }
    resolved.seal = TRY(formats::parse_seal(*bytes));
    resolved.seal_bytes = *bytes;
  }
  resolved.record = record_of(call, ref, resolved.snapshot, std::nullopt);
  return resolved;
}

Result<Pulled> pull(const Call& call,
                    const PullParts& parts,
                    const model::Ref& ref,
                    const PullOptions& options,
                    PullProgress& progress) {
  Resolved resolved = TRY(resolve_for_pull(call, parts, ref, options));
  if (!resolved.seal_bytes.empty()) {
    TRY(parts.store.refs().put_seal(resolved.seal_bytes));
  }
  model::Snapshot& snapshot = resolved.snapshot;
  Pulled pulled;
  for (int tries = 1;; ++tries) {
    FetchBlobs fetch(call,
                     parts,
                     snapshot,
                     resolved.seal ? &*resolved.seal : nullptr,
                     options.offline,
                     progress);
    const FetchBlobs::Counts counts = TRY(fetch.run());
    pulled.fetched_bytes += counts.fetched_bytes;
    pulled.copied_bytes += counts.copied_bytes;
    pulled.present_bytes += tries == 1 ? counts.present_bytes : 0;
    auto made = parts.store.snapshots().make(call, snapshot.files);
    if (made.ok()) {
      pulled.directory = std::move(made).value();
      break;
    }
    if (made.error().code() != Code::kNotFound || tries == kTries) {
      return std::move(made).error();
    }
  }
  pulled.content_id = *model::content_id(snapshot.files);
  if (options.content_id && *options.content_id != pulled.content_id) {
    return Error(Code::kConflict,
                 fmt::format("{} is not what it must be (content_id): expected {}, found {}",
                             snapshot.origin,
                             options.content_id->hex(),
                             pulled.content_id.hex()))
        .in_file(snapshot.origin);
  }
  pulled.seal_sha256 = snapshot.seal_sha256;
  pulled.trust = resolved.record.trust;
  pulled.files = snapshot.files.size();
  for (const model::File& file : snapshot.files) {
    pulled.bytes += file.size;
  }
  resolved.record.content_id = pulled.content_id;
  TRY(parts.store.refs().put(ref, resolved.record));
  return pulled;
}

}  // namespace weighbridge::transfer
