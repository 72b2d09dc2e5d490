#include "store/stock.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "formats/seal.h"
#include "store/files.h"

namespace weighbridge::store {
namespace {

using base::Code;
using base::Error;
using base::Result;

// Absent or damaged: as good as unknown.
bool is_unknown(const Error& error) {
  return error.code() == Code::kNotFound || error.code() == Code::kCorrupt ||
         error.code() == Code::kUnsupported;
}

Result<std::uint64_t> disk_bytes_below(const Home& home, std::string_view directory) {
  std::uint64_t bytes = 0;
  TRY(each_file(home.files(),
                home.path() + "/" + std::string(directory),
                [&](const std::string&, const io::FileInfo& info) -> Result<void> {
                  bytes += info.disk_bytes;
                  return {};
                }));
  return bytes;
}

std::set<hash::Root> roots_of(const Holding& holding) {
  std::set<hash::Root> roots;
  if (holding.files) {
    for (const SnapshotFile& file : *holding.files) {
      roots.insert(file.root);
    }
  }
  return roots;
}

using Infos = std::map<hash::Root, io::FileInfo>;

void count(Holding& holding, const Infos& there, const std::map<hash::Root, std::uint64_t>& refs) {
  for (const hash::Root& root : roots_of(holding)) {
    const auto found = there.find(root);
    if (found == there.end()) {
      continue;
    }
    (refs.at(root) == 1 ? holding.own_bytes : holding.shared_bytes) += found->second.disk_bytes;
    holding.used_ns = std::max(holding.used_ns.value_or(INT64_MIN), found->second.atime_ns);
  }
  for (const SnapshotFile& file : holding.files.value_or(std::vector<SnapshotFile>())) {
    holding.bytes += file.size;
    holding.missing += there.contains(file.root) ? 0 : 1;
  }
}

// What Refs, all but that of `except`, and pins name.
Result<std::set<hash::Root>> named_but(const Home& home,
                                       const Refs& refs,
                                       std::string_view except) {
  std::set<hash::Root> named = TRY(pinned_blobs(home, refs));
  for (const StoredRef& other : TRY(refs.all())) {
    if (other.name == except) {
      continue;
    }
    const auto files = TRY(files_of(home, other.record));
    for (const SnapshotFile& file : files.value_or(std::vector<SnapshotFile>())) {
      named.insert(file.root);
    }
  }
  return named;
}

Result<bool> others_have_snapshot(const Refs& refs, const StoredRef& ref) {
  const auto all = TRY(refs.all());
  return std::ranges::any_of(all, [&](const StoredRef& other) {
    return other.name != ref.name && (other.record.content_id == ref.record.content_id ||
                                      other.pinned == ref.record.content_id);
  });
}

}  // namespace

Result<std::optional<std::vector<SnapshotFile>>> files_of(const Home& home,
                                                          const RefRecord& record) {
  using Files = std::vector<SnapshotFile>;
  if (record.content_id) {
    auto list = read_list(home, *record.content_id);
    if (list.ok() || !is_unknown(list.error())) {
      return list.ok() ? Result<std::optional<Files>>(std::move(list).value())
                       : std::move(list).error();
    }
  }
  if (!record.seal_sha256) {
    return std::optional<Files>();
  }
  const auto path = home.in("seals", record.seal_sha256->hex());
  const auto bytes = io::read_file(home.files(), path, formats::kMaxSealBytes);
  const auto seal = bytes.ok() ? formats::parse_seal(*bytes) : bytes.error().copy();
  if (!seal.ok()) {
    return is_unknown(seal.error()) ? Result<std::optional<Files>>(std::nullopt)
                                    : seal.error().copy();
  }
  Files files;
  for (const formats::SealedFile& file : seal->files) {
    files.push_back({file.path, file.size, file.executable, file.root});
  }
  return std::optional(std::move(files));
}

Result<Stock> take_stock(const Home& home, const Space& space, const Refs& refs) {
  Stock stock;
  Infos there;
  for (const hash::Root& root : TRY(space.all())) {
    const auto info = home.files().info(home.blob(root));
    if (info.ok()) {
      there.emplace(root, *info);
      stock.blob_bytes += info->disk_bytes;
    }
  }
  std::map<hash::Root, std::uint64_t> named;
  for (StoredRef& ref : TRY(refs.all())) {
    Holding holding;
    holding.files = TRY(files_of(home, ref.record));
    holding.ref = std::move(ref);
    for (const hash::Root& root : roots_of(holding)) {
      ++named[root];
    }
    stock.refs.push_back(std::move(holding));
  }
  for (Holding& holding : stock.refs) {
    count(holding, there, named);
  }
  const std::set<hash::Root> pinned = TRY(pinned_blobs(home, refs));
  for (const auto& [root, info] : there) {
    stock.unnamed_bytes += named.contains(root) || pinned.contains(root) ? 0 : info.disk_bytes;
  }
  stock.blobs = there.size();
  stock.partial_bytes = TRY(disk_bytes_below(home, "partial"));
  stock.quarantine_bytes = TRY(disk_bytes_below(home, "quarantine"));
  return stock;
}

Result<std::set<hash::Root>> named_blobs(Home& home) {
  return named_but(home, Refs(home), "");
}

Result<Evicted> remove_ref(const base::Call& call,
                           Home& home,
                           Space& space,
                           Snapshots& snapshots,
                           Refs& refs,
                           const StoredRef& ref) {
  if (ref.pinned) {
    return Error(Code::kBusy, "it is pinned")
        .in_file(ref.record.ref)
        .with_hint("`weighbridge unpin` it first.");
  }
  const std::set<hash::Root> kept = TRY(named_but(home, refs, ref.name));
  std::set<hash::Root> going;
  const auto files = TRY(files_of(home, ref.record));
  for (const SnapshotFile& file : files.value_or(std::vector<SnapshotFile>())) {
    if (!kept.contains(file.root)) {
      going.insert(file.root);
    }
  }
  Evicted evicted = TRY(space.remove(call, {going.begin(), going.end()}));
  if (ref.record.content_id && !TRY(others_have_snapshot(refs, ref))) {
    TRY(snapshots.remove(call, *ref.record.content_id));
  }
  TRY(refs.remove(ref));
  return evicted;
}

}  // namespace weighbridge::store
