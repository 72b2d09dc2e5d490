// Archives cannot be read by ranges, and what stands in one is not known before all of it has come.
// So each is taken apart into files of a scratch directory, which are then a Source like any other:
// pull, with its store, its resuming and its proofs, needs to know nothing of archives. The names
// in the scratch directory are numbers, so that no path of an archive is ever one of the disk.

#include "pack/unpacked_source.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "formats/seal.h"
#include "hash/sha256.h"
#include "pack/seal_check.h"
#include "pack/unpack.h"
#include "sync/retry.h"

namespace weighbridge::pack {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

constexpr std::string_view kLockName = "lock";

// A directory of numbered files that belongs to one process. Confined until it is full, then
// Thread-compatible.
class Scratch {
 public:
  // `parent` holds one directory a process at work; those of the dead are removed.
  static Result<std::unique_ptr<Scratch>> open(io::FileSystem& files, const std::string& parent) {
    TRY(make_directory(files, parent));
    TRY(sweep(files, parent));
    std::random_device random;
    std::string directory = fmt::format("{}/{:08x}{:08x}", parent, random(), random());
    TRY(files.make_directory(directory));
    auto lock = TRY(files.create(in(directory, kLockName)));
    if (!TRY(lock->try_lock(io::Lock::kExclusive))) {
      return Error(Code::kBusy, "another process has just taken this directory").in_file(directory);
    }
    return std::unique_ptr<Scratch>(  // NOLINT(modernize-make-unique): private
        new Scratch(files, std::move(directory), std::move(lock)));
  }

  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  ~Scratch() { remove(files_, directory_); }

  io::FileSystem& files() const { return files_; }

  const std::string& directory() const { return directory_; }

  std::string next() { return in(directory_, std::to_string(count_++)); }

 private:
  Scratch(io::FileSystem& files, std::string directory, std::unique_ptr<io::OpenFile> lock)
      : files_(files), directory_(std::move(directory)), lock_(std::move(lock)) {}

  static std::string in(const std::string& directory, std::string_view name) {
    return fmt::format("{}/{}", directory, name);
  }

  static Result<void> make_directory(io::FileSystem& files, const std::string& path) {
    const auto made = files.make_directory(path);
    return made.ok() || made.error().code() == Code::kExists ? Result<void>() : made.error().copy();
  }

  // Who holds its lock is alive.
  static Result<void> sweep(io::FileSystem& files, const std::string& parent) {
    for (const io::DirectoryEntry& entry : TRY(files.list(parent))) {
      const std::string directory = in(parent, entry.name);
      const auto lock = files.open(in(directory, kLockName));
      if (lock.ok()) {
        const auto locked = (*lock)->try_lock(io::Lock::kExclusive);
        if (locked.ok() && *locked) {
          remove(files, directory);
        }
      }
    }
    return {};
  }

  // What cannot be removed now is swept the next time.
  static void remove(io::FileSystem& files, const std::string& directory) {
    const auto entries = files.list(directory);
    if (entries.ok()) {
      for (const io::DirectoryEntry& entry : *entries) {
        (void)files.remove(in(directory, entry.name));
      }
    }
    (void)files.remove(directory);
  }

  io::FileSystem& files_;
  const std::string directory_;
  const std::unique_ptr<io::OpenFile> lock_;
  std::size_t count_ = 0;
};

// A file of an archive, and where it lies now.
struct Unpacked {
  model::File file;
  std::string place;
};

// Writes the files of one archive. Confined.
class ScratchSink final : public EntrySink {
 public:
  ScratchSink(Scratch& scratch, model::Trust trust) : scratch_(scratch), trust_(trust) {}

  Result<void> begin(const Entry& entry) override {
    Unpacked next;
    next.file.path = entry.path;
    next.file.size = entry.size;
    next.file.executable = entry.executable;
    next.file.trust = trust_;
    next.place = scratch_.next();
    open_ = TRY(scratch_.files().create(next.place));
    written_ = 0;
    hasher_.emplace();
    unpacked_.push_back(std::move(next));
    return {};
  }

  Result<void> write(std::span<const std::byte> bytes) override {
    hasher_->update(bytes);
    TRY(open_->write_at(written_, bytes));
    written_ += bytes.size();
    return {};
  }

  Result<void> end() override {
    unpacked_.back().file.sha256 = hasher_->finish();
    open_.reset();
    return {};
  }

  std::vector<Unpacked> take() { return std::move(unpacked_); }

  // After a failure: of a layer that is not what it should be nothing stays.
  void throw_away() {
    open_.reset();
    for (const Unpacked& one : unpacked_) {
      (void)scratch_.files().remove(one.place);
    }
  }

 private:
  Scratch& scratch_;
  const model::Trust trust_;
  std::vector<Unpacked> unpacked_;
  std::unique_ptr<io::OpenFile> open_;
  std::uint64_t written_ = 0;
  std::optional<hash::Sha256> hasher_;
};

// Hands a body on and counts it. Confined, as every sink.
class CountedSink final : public base::BodySink {
 public:
  CountedSink(base::BodySink& inner, transfer::Progress& progress)
      : inner_(inner), progress_(progress) {}

  std::span<std::byte> window() override { return inner_.window(); }

  Result<void> landed(std::size_t bytes) override {
    progress_.received_bytes += bytes;
    landed_ += bytes;
    return inner_.landed(bytes);
  }

  std::uint64_t landed_bytes() const { return landed_; }

 private:
  base::BodySink& inner_;
  transfer::Progress& progress_;
  std::uint64_t landed_ = 0;
};

// Takes all archives of an artifact apart. Confined.
class Unpacker {
 public:
  Unpacker(ArtifactSource& source,
           const RemoteArtifact& artifact,
           Scratch& scratch,
           transfer::Progress& progress)
      : source_(source),
        artifact_(artifact),
        scratch_(scratch),
        progress_(progress),
        paths_(artifact.plan.paths) {}

  Result<std::vector<Unpacked>> run(const Call& call) {
    for (const PlannedArchive& archive : artifact_.plan.archives) {
      progress_.wanted_bytes += layer_of(archive).size;
    }
    for (const PlannedArchive& archive : artifact_.plan.archives) {
      TRY(persistently(call, archive));
    }
    return std::move(unpacked_);
  }

 private:
  const registry::Descriptor& layer_of(const PlannedArchive& archive) const {
    return artifact_.manifest.layers[archive.layer];
  }

  Result<void> persistently(const Call& call, const PlannedArchive& archive) {
    const std::string name = layer_of(archive).digest.text();
    sync::RetryPolicy policy;
    policy.max_tries = transfer::Transfer::kTries;
    policy.on_wait = [&](const Error& error, unsigned tries, base::Duration pause) {
      progress_.notes.add(fmt::format("retrying archive {}: {}, in {:.1f} s (try {} of {})",
                                      name,
                                      error.message(),
                                      std::chrono::duration<double>(pause).count(),
                                      tries + 1,
                                      transfer::Transfer::kTries));
    };
    return sync::Retry(std::move(policy), sync::seeded_random(std::random_device{}()))
        .run(call, [&] { return unpack_once(call, archive); });
  }

  // From the archive's beginning, as if there had been no try before.
  Result<void> unpack_once(const Call& call, const PlannedArchive& archive) {
    PathSet paths = paths_;
    ScratchSink sink(scratch_, artifact_.trust());
    auto left_out = read(call, archive, paths, sink);
    if (!left_out.ok()) {
      sink.throw_away();
      return std::move(left_out).error().context(
          fmt::format("unpacking {}", layer_of(archive).digest.text()));
    }
    for (const std::string& path : *left_out) {
      progress_.notes.add(fmt::format("left out, since no seal may list it: {}", path));
    }
    paths_ = std::move(paths);
    std::ranges::move(sink.take(), std::back_inserter(unpacked_));
    progress_.proved_bytes += layer_of(archive).size;
    return {};
  }

  Result<std::vector<std::string>> read(const Call& call,
                                        const PlannedArchive& archive,
                                        PathSet& paths,
                                        ScratchSink& sink) {
    const registry::Descriptor& layer = layer_of(archive);
    const io::Volume volume = TRY(scratch_.files().volume(scratch_.directory()));
    auto unpacker =
        TRY(LayerUnpacker::open(layer, {archive.compression, volume.free_bytes}, paths, sink));
    CountedSink counted(*unpacker, progress_);
    if (layer.size > 0) {
      TRY(source_.read_layer(call, archive.layer, {0, layer.size}, counted));
    }
    TRY(unpacker->finish());
    return unpacker->left_out();
  }

  ArtifactSource& source_;
  const RemoteArtifact& artifact_;
  Scratch& scratch_;
  transfer::Progress& progress_;
  PathSet paths_;
  std::vector<Unpacked> unpacked_;
};

// Thread-safe: nothing changes once it is made.
class UnpackedSource final : public sources::Source {
 public:
  UnpackedSource(std::unique_ptr<ArtifactSource> artifact,
                 std::vector<model::File> raw,
                 std::unique_ptr<Scratch> scratch,
                 std::vector<Unpacked> unpacked)
      : artifact_(std::move(artifact)), scratch_(std::move(scratch)), files_(std::move(raw)) {
    for (Unpacked& one : unpacked) {
      places_.emplace(one.file.path, std::move(one.place));
      files_.push_back(std::move(one.file));
    }
    std::ranges::sort(files_, {}, &model::File::path);
  }

  Result<std::string> single_file(const Call& call) override {
    return artifact_->single_file(call);
  }

  Result<std::optional<std::vector<std::byte>>> seal(const Call& call) override {
    auto bytes = TRY(artifact_->seal_layer(call));
    if (bytes) {
      TRY(check_seal(*bytes, files_, printable(formats::kSealName)));
    }
    return bytes;
  }

  model::Trust seal_trust() const override { return artifact_->seal_trust(); }

  Result<std::optional<sources::Listing>> list(const Call& /*call*/) override {
    sources::Listing listing;
    listing.files = files_;
    return std::optional(std::move(listing));
  }

  Result<model::File> find(const Call& call, std::string_view path) override {
    const auto found = std::ranges::lower_bound(files_, path, {}, &model::File::path);
    return found == files_.end() || found->path != path ? artifact_->find(call, path)
                                                        : model::File(*found);
  }

  Result<void> read(const Call& call,
                    const model::File& file,
                    base::Range range,
                    base::BodySink& sink) override {
    const auto place = places_.find(file.path);
    return place == places_.end() ? artifact_->read(call, file, range, sink)
                                  : read_unpacked(call, place->second, range, sink);
  }

  std::string printable(std::string_view path) const override { return artifact_->printable(path); }

  std::string identity(std::string_view path) const override { return artifact_->identity(path); }

  std::size_t max_connections() const override { return artifact_->max_connections(); }

  std::size_t first_connections() const override { return artifact_->first_connections(); }

 private:
  Result<void> read_unpacked(const Call& call,
                             const std::string& place,
                             base::Range range,
                             base::BodySink& sink) {
    const auto file = TRY(scratch_->files().open(place));
    while (!range.empty()) {
      TRY(call.check());
      const auto window = sink.window();
      const auto into = window.first(std::min<std::uint64_t>(window.size(), range.size()));
      const std::size_t bytes = TRY(file->read_at(range.begin, into));
      if (bytes == 0) {
        return Error(Code::kIo, "a file that was unpacked is shorter now").in_file(place);
      }
      TRY(sink.landed(bytes));
      range.begin += bytes;
    }
    return {};
  }

  const std::unique_ptr<ArtifactSource> artifact_;
  const std::unique_ptr<Scratch> scratch_;
  std::vector<model::File> files_;                          // in byte order of paths
  std::map<std::string, std::string, std::less<>> places_;  // of those that were unpacked
};

}  // namespace

Result<std::unique_ptr<sources::Source>> unpack_archives(const Call& call,
                                                         std::unique_ptr<ArtifactSource> artifact,
                                                         const UnpackPlace& place,
                                                         transfer::Progress& progress) {
  TRY(artifact->single_file(call));
  const auto opened = TRY(artifact->artifact(call));
  if (opened->plan.archives.empty()) {
    return std::unique_ptr<sources::Source>(std::move(artifact));
  }
  auto scratch = TRY(Scratch::open(place.files, place.directory));
  auto unpacked = TRY(Unpacker(*artifact, *opened, *scratch, progress).run(call));
  auto raw = files_of(*opened);
  return std::unique_ptr<sources::Source>(std::make_unique<UnpackedSource>(
      std::move(artifact), std::move(raw), std::move(scratch), std::move(unpacked)));
}

}  // namespace weighbridge::pack
