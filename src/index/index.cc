#include "index/index.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "hash/hash_tree.h"
#include "index/select.h"
#include "transfer/memory_sink.h"

namespace weighbridge::index {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

constexpr std::size_t kMaxNamed = 20;  // files named in an error
constexpr std::size_t kFilesAtOnce = 16;
// Fronts of files that are kept for the load, so that they are not read twice.
constexpr std::uint64_t kKeptBytes = kFilesAtOnce * transfer::Transfer::kPieceBytes;

// Reads, parses and compares the headers. Confined to one thread.
class HeaderReader {
 public:
  HeaderReader(const Call& call,
               transfer::Transfer& transfer,
               sources::Source& source,
               const model::Snapshot& snapshot)
      : call_(call), transfer_(transfer), source_(source), snapshot_(snapshot) {}

  Result<std::vector<IndexedFile>> run(const std::vector<std::size_t>& files) {
    for (const std::size_t file : files) {
      read_.push_back({});
      read_.back().file = file;
    }
    for (std::size_t first = 0; first < read_.size(); first += kFilesAtOnce) {
      const std::size_t count = std::min(kFilesAtOnce, read_.size() - first);
      TRY(read_headers(std::span(read_).subspan(first, count)));
    }
    return std::move(read_);
  }

 private:
  const model::File& file_of(const IndexedFile& indexed) const {
    return snapshot_.files[indexed.file];
  }

  std::string name_of(const IndexedFile& indexed) const {
    return source_.printable(file_of(indexed).path);
  }

  Result<void> read_headers(std::span<IndexedFile> batch) {
    std::vector<base::Range> looks(batch.size(), {0, transfer::Transfer::kPieceBytes});
    TRY(read(batch, looks));
    std::vector<base::Range> headers;
    for (const IndexedFile& indexed : batch) {
      headers.push_back(TRY(header_of(indexed)));
      header_bytes_ += headers.back().size();
      if (header_bytes_ > Index::kMaxHeaderBytes) {
        return Error(Code::kExhausted,
                     fmt::format("the headers of all files together have more than {} bytes",
                                 Index::kMaxHeaderBytes))
            .in_file(name_of(indexed));
      }
      // The few whose header is longer than the first piece.
      looks[headers.size() - 1] = {indexed.prefix.span().size(), headers.back().end};
    }
    TRY(read(batch, looks));
    for (std::size_t i = 0; i < batch.size(); ++i) {
      TRY(parse(batch[i], headers[i]));
      keep_or_drop(batch[i], headers[i]);
    }
    return {};
  }

  // Appends to each file's prefix the pieces of its range, if there is anything in it.
  Result<void> read(std::span<IndexedFile> batch, std::span<const base::Range> ranges) {
    std::vector<transfer::Want> wants;
    std::vector<IndexedFile*> wanted;
    transfer::MemorySink sink;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const model::File& file = file_of(batch[i]);
      const base::Range range{ranges[i].begin, std::min(ranges[i].end, file.size)};
      if (range.begin < range.end || range.begin == 0) {
        wants.push_back({batch[i].file, range});
        wanted.push_back(&batch[i]);
        sink.expect(file, {0, range.end});
      }
    }
    transfer::Progress progress;
    TRY(transfer_.run(call_, {source_, snapshot_, wants}, sink, progress, {.peek = true}));
    for (IndexedFile* const indexed : wanted) {
      transfer::MemorySink::Taken taken = sink.take(file_of(*indexed));
      std::ranges::copy(indexed->prefix.span(), taken.bytes.span().begin());
      indexed->prefix = std::move(taken.bytes);
      indexed->proof = taken.proof;
    }
    return {};
  }

  // A model of hundreds of files must not hold the front of each in memory.
  void keep_or_drop(IndexedFile& indexed, base::Range header) {
    const std::span<const std::byte> prefix = indexed.prefix.span();
    if (indexed.proof.trust == model::Trust::kNone) {
      indexed.looked_at = LookedAt(prefix.first(header.end));
      indexed.prefix = {};
    } else if (kept_bytes_ + prefix.size() > kKeptBytes) {
      indexed.prefix = {};
    }
    kept_bytes_ += indexed.prefix.span().size();
  }

  Result<base::Range> header_of(const IndexedFile& indexed) const {
    const std::span<const std::byte> prefix = indexed.prefix.span();
    auto header = formats::safetensors_header(
        prefix.first(std::min<std::size_t>(prefix.size(), formats::kSafetensorsPrefixBytes)),
        file_of(indexed).size);
    if (!header.ok()) {
      return std::move(header).error().in_file(name_of(indexed));
    }
    return header;
  }

  Result<void> parse(IndexedFile& indexed, base::Range header) const {
    const auto json = indexed.prefix.span().subspan(header.begin, header.size());
    auto table = formats::parse_safetensors(json, header, file_of(indexed).size);
    if (!table.ok()) {
      return std::move(table).error().in_file(name_of(indexed));
    }
    indexed.table = std::make_shared<const formats::SafetensorsTable>(std::move(table).value());
    return {};
  }

  const Call& call_;
  transfer::Transfer& transfer_;
  sources::Source& source_;
  const model::Snapshot& snapshot_;
  std::vector<IndexedFile> read_;
  std::uint64_t header_bytes_ = 0;  // of all files so far
  std::uint64_t kept_bytes_ = 0;    // in their prefixes
};

// Keeps nothing, and compares the front of files with what was looked at. Thread-safe: it does not
// change.
class HoldingSink final : public transfer::Sink {
 public:
  HoldingSink(const model::Snapshot& snapshot, std::span<const IndexedFile> files) {
    for (const IndexedFile& indexed : files) {
      looked_at_.emplace(&snapshot.files[indexed.file], &indexed.looked_at);
    }
  }

  Result<std::span<std::byte>> place(const model::File&, base::Range) override {
    return std::span<std::byte>();
  }

  Result<void> landed(const model::File& file,
                      base::Range piece,
                      std::span<const std::byte> bytes) override {
    return looked_at_.at(&file)->hold(piece, bytes);
  }

  Result<void> publish(const model::File&, base::Range, model::Proof) override { return {}; }

  void abandon(const model::File&, const Error&) override {}

 private:
  std::map<const model::File*, const LookedAt*> looked_at_;  // the Index's
};

// Every tensor stands where the shard index says, and the index knows every tensor.
Result<void> agree(const formats::ShardIndex& shards,
                   const model::Snapshot& snapshot,
                   const std::vector<IndexedFile>& files) {
  std::map<std::string_view, std::string_view> found;
  for (const IndexedFile& indexed : files) {
    const std::string& path = snapshot.files[indexed.file].path;
    for (const model::TensorEntry& tensor : indexed.table->tensors) {
      const auto named = shards.file_of.find(tensor.name);
      if (named == shards.file_of.end() || named->second != path) {
        return Error(
                   Code::kCorrupt,
                   fmt::format("the index and the headers disagree: '{}' holds tensor '{}', which "
                               "{} {}",
                               base::printable(path),
                               base::printable(tensor.name),
                               formats::kShardIndexName,
                               named == shards.file_of.end()
                                   ? "does not list"
                                   : fmt::format("puts in '{}'", base::printable(named->second))))
            .in_file(path)
            .at(tensor.bytes.begin);
      }
      found.emplace(tensor.name, path);
    }
  }
  for (const auto& [name, path] : shards.file_of) {
    if (!found.contains(name)) {
      return Error(Code::kCorrupt,
                   fmt::format("the index and the headers disagree: {} puts tensor '{}' in '{}', "
                               "which does not hold it",
                               formats::kShardIndexName,
                               base::printable(name),
                               base::printable(path)))
          .in_file(path);
    }
  }
  return {};
}

// Several files and no index: they are one model only if no name stands in two of them.
Result<void> one_model(const model::Snapshot& snapshot, const std::vector<IndexedFile>& files) {
  if (files.size() == 1) {
    return {};  // in one file names are unique
  }
  std::set<std::string_view> names;
  for (const IndexedFile& indexed : files) {
    for (const model::TensorEntry& tensor : indexed.table->tensors) {
      if (names.insert(tensor.name).second) {
        continue;
      }
      std::vector<std::string> candidates;
      for (std::size_t i = 0; i < std::min(files.size(), kMaxNamed); ++i) {
        candidates.push_back(base::printable(snapshot.files[files[i].file].path));
      }
      return Error(Code::kInvalid,
                   fmt::format("several models here: tensor '{}' stands in more than one of {}",
                               base::printable(tensor.name),
                               fmt::join(candidates, ", ")))
          .in_file(snapshot.origin)
          .with_hint("Name the file you want.");
    }
  }
  return {};
}

}  // namespace

Result<Index> Index::open(const Call& call,
                          transfer::Transfer& transfer,
                          sources::Source& source,
                          model::Snapshot snapshot) {
  Index index;
  index.snapshot_ = std::make_unique<model::Snapshot>(std::move(snapshot));
  const Selection selection = TRY(select_files(call, transfer, source, *index.snapshot_));
  index.files_ = TRY(HeaderReader(call, transfer, source, *index.snapshot_).run(selection.files));
  if (selection.shards) {
    TRY(agree(*selection.shards, *index.snapshot_, index.files_));
  } else {
    TRY(one_model(*index.snapshot_, index.files_));
  }
  return index;
}

LookedAt::LookedAt(std::span<const std::byte> front) : size_(front.size()) {
  for (std::size_t at = 0; at < front.size(); at += transfer::Transfer::kPieceBytes) {
    const auto rest = front.subspan(at);
    pieces_.push_back(hash::hash_bytes(
        rest.first(std::min<std::size_t>(rest.size(), transfer::Transfer::kPieceBytes))));
  }
}

Result<void> LookedAt::hold(base::Range piece, std::span<const std::byte> bytes) const {
  if (piece.begin >= size_) {
    return {};
  }
  const auto both = std::min<std::uint64_t>(size_ - piece.begin, bytes.size());
  if (hash::hash_bytes(bytes.first(both)) ==
      pieces_[piece.begin / transfer::Transfer::kPieceBytes]) {
    return {};
  }
  return Error(
             Code::kCorrupt,
             "the header is not the one that was read before: one of the two was hurt on its way, "
             "or the file changed")
      .at(piece.begin)
      .with_hint("Try again.");
}

Result<void> Index::prove(const Call& call,
                          transfer::Transfer& transfer,
                          sources::Source& source,
                          transfer::Progress& progress) {
  std::vector<transfer::Want> wants;
  for (const IndexedFile& indexed : files_) {
    if (indexed.proof.trust == model::Trust::kNone) {
      wants.push_back({indexed.file, {0, snapshot_->files[indexed.file].size}});
    }
  }
  HoldingSink sink(*snapshot_, files_);
  TRY(transfer.run(call, {source, *snapshot_, wants}, sink, progress));
  for (IndexedFile& indexed : files_) {
    if (indexed.proof.trust == model::Trust::kNone) {
      const model::File& file = snapshot_->files[indexed.file];
      indexed.proof = {file.trust, file.method()};
    }
  }
  return {};
}

std::size_t Index::tensor_count() const {
  std::size_t count = 0;
  for (const IndexedFile& indexed : files_) {
    count += indexed.table->tensors.size();
  }
  return count;
}

}  // namespace weighbridge::index
