#include "index/select.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "transfer/memory_sink.h"
#include "transfer/resolve.h"

namespace weighbridge::index {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

constexpr std::string_view kSingleName = "model.safetensors";
constexpr std::string_view kSuffix = ".safetensors";
constexpr std::size_t kMaxListed = 20;  // candidates named in an error

// Confined to one thread.
class Selector {
 public:
  Selector(const Call& call,
           transfer::Transfer& transfer,
           sources::Source& source,
           model::Snapshot& snapshot)
      : call_(call), transfer_(transfer), source_(source), snapshot_(snapshot) {}

  Result<Selection> run() {
    const std::string single = TRY(source_.single_file(call_));
    if (!single.empty()) {
      return Selection{{0}, {}};
    }
    if (const auto index = TRY(look_for(formats::kShardIndexName))) {
      return by_shard_index(*index);
    }
    if (const auto file = TRY(look_for(kSingleName))) {
      return Selection{{*file}, {}};
    }
    return by_suffix();
  }

 private:
  // What stands there and cannot be read must not look as if it were absent: what is left would
  // pass for the whole model.
  Error unreadable(const model::Refused& refused) const {
    return Error(Code::kInvalid, fmt::format("it cannot be read: {}", refused.reason))
        .in_file(source_.printable(refused.path))
        .with_hint("Repair or remove it, or name the file to load.");
  }

  // The file at `path`, asking the source where there is no listing; nothing if it is not there.
  Result<std::optional<std::size_t>> look_for(std::string_view path) {
    const model::File* const known = snapshot_.find(path);
    if (known != nullptr) {
      return std::optional(static_cast<std::size_t>(known - snapshot_.files.data()));
    }
    for (const model::Refused& refused : snapshot_.refused) {
      if (refused.path == path) {
        return unreadable(refused);
      }
    }
    if (snapshot_.listed) {
      return std::optional<std::size_t>();
    }
    auto found = transfer::find(call_, source_, path);
    if (!found.ok() && found.error().code() == Code::kNotFound) {
      return std::optional<std::size_t>();
    }
    if (!found.ok() && found.error().code() == Code::kDenied) {
      // Buckets that must not be listed answer so for what is not there.
      denied_ = std::move(found).error();
      return std::optional<std::size_t>();
    }
    return std::optional(insert(TRY(std::move(found))));
  }

  std::size_t insert(model::File file) {
    const auto at = std::lower_bound(
        snapshot_.files.begin(), snapshot_.files.end(), file, [](const auto& a, const auto& b) {
          return a.path < b.path;
        });
    const auto position = static_cast<std::size_t>(at - snapshot_.files.begin());
    snapshot_.files.insert(at, std::move(file));
    return position;
  }

  Result<Selection> by_shard_index(std::size_t index) {
    Selection selection;
    selection.shards = TRY(read_shard_index(index));
    for (const std::string& path : selection.shards->files) {
      if (!TRY(look_for(path))) {
        return Error(Code::kNotFound,
                     fmt::format("{} names '{}', which is not {}",
                                 formats::kShardIndexName,
                                 base::printable(path),
                                 snapshot_.seal_sha256 ? "in the seal" : "there"))
            .in_file(source_.printable(path));
      }
    }
    // Only now, when nothing is inserted any more, do positions hold.
    for (const std::string& path : selection.shards->files) {
      selection.files.push_back(*TRY(look_for(path)));
    }
    return selection;
  }

  Result<formats::ShardIndex> read_shard_index(std::size_t index) {
    const model::File& file = snapshot_.files[index];
    const std::string name = source_.printable(file.path);
    if (file.size > formats::kMaxShardIndexBytes) {
      return Error(Code::kCorrupt,
                   fmt::format("the index has {} bytes, at most {} are allowed",
                               file.size,
                               formats::kMaxShardIndexBytes))
          .in_file(name);
    }
    transfer::MemorySink sink;
    sink.expect(file, {0, file.size});
    transfer::Progress progress;
    const transfer::Want want{index, {0, file.size}};
    TRY(transfer_.run(call_, {source_, snapshot_, {&want, 1}}, sink, progress));
    auto parsed = formats::parse_shard_index(sink.take(file).bytes.span());
    if (!parsed.ok()) {
      return std::move(parsed).error().in_file(name);
    }
    return parsed;
  }

  static bool may_hold_tensors(std::string_view path) {
    return path.ends_with(kSuffix) && path.find('/') == std::string_view::npos;
  }

  Result<Selection> by_suffix() {
    for (const model::Refused& refused : snapshot_.refused) {
      if (may_hold_tensors(refused.path)) {
        return unreadable(refused);
      }
    }
    Selection selection;
    for (std::size_t i = 0; i < snapshot_.files.size(); ++i) {
      if (may_hold_tensors(snapshot_.files[i].path)) {
        selection.files.push_back(i);
      }
    }
    if (!selection.files.empty()) {
      return selection;
    }
    return nothing_found();
  }

  Error nothing_found() const {
    const std::string looked =
        fmt::format("no tensors here: neither {} nor {}", formats::kShardIndexName, kSingleName);
    if (denied_) {
      return denied_->copy().context(looked);
    }
    if (!snapshot_.listed) {
      return Error(Code::kNotFound, looked + ", and files cannot be listed here")
          .in_file(snapshot_.origin)
          .with_hint("Name the file itself, or put a weighbridge.seal beside the files.");
    }
    std::vector<std::string> deeper;
    for (const model::File& file : snapshot_.files) {
      if (file.path.ends_with(kSuffix) && deeper.size() < kMaxListed) {
        deeper.push_back(base::printable(file.path));
      }
    }
    const std::string found =
        deeper.empty() ? "" : fmt::format("; deeper down: {}", fmt::join(deeper, ", "));
    return Error(Code::kNotFound, looked + " nor any other *.safetensors" + found)
        .in_file(snapshot_.origin)
        .with_hint("Name the directory or the file that holds the tensors.");
  }

  const Call& call_;
  transfer::Transfer& transfer_;
  sources::Source& source_;
  model::Snapshot& snapshot_;
  std::optional<Error> denied_;  // the last answer that would not say whether a file is there
};

}  // namespace

Result<Selection> select_files(const Call& call,
                               transfer::Transfer& transfer,
                               sources::Source& source,
                               model::Snapshot& snapshot) {
  return Selector(call, transfer, source, snapshot).run();
}

}  // namespace weighbridge::index
