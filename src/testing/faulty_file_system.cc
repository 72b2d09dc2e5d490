#include "testing/faulty_file_system.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace weighbridge::testing {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr std::size_t kShortReadBytes = 7;

Error injected(bool no_space, const std::string& path) {
  return Error(no_space ? Code::kExhausted : Code::kIo, "injected failure: " + path).in_file(path);
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

std::vector<std::byte> contents(io::OpenFile& file) {
  std::vector<std::byte> bytes(file.info().value().size);
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t got = file.read_at(at, std::span(bytes).subspan(at)).value();
    WB_CHECK(got > 0, "a file shrank while it was read");
    at += got;
  }
  return bytes;
}

}  // namespace

// Thread-safe: every call takes the file system's lock.
class FaultyFileSystem::File final : public io::OpenFile {
 public:
  File(FaultyFileSystem& disk,
       std::unique_ptr<io::OpenFile> below,
       std::shared_ptr<Node> node,
       std::string path)
      : disk_(disk), below_(std::move(below)), node_(std::move(node)), path_(std::move(path)) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) override {
    const std::scoped_lock lock(disk_.mutex_);
    TRY(disk_.count_call(path_));
    const std::size_t most = disk_.short_reads_ ? kShortReadBytes : into.size();
    return below_->read_at(offset, into.first(std::min(most, into.size())));
  }

  Result<std::size_t> read_direct_at(std::uint64_t offset, std::span<std::byte> into) override {
    const std::scoped_lock lock(disk_.mutex_);
    TRY(disk_.count_call(path_));
    if (!disk_.direct_reads_) {
      return Error(Code::kUnsupported, "no direct reads: " + path_).in_file(path_);
    }
    WB_CHECK(offset % io::kDirectAlignment == 0 && into.size() % io::kDirectAlignment == 0 &&
                 reinterpret_cast<std::uintptr_t>(into.data()) % io::kDirectAlignment == 0,
             "a direct read that is not aligned");
    ++disk_.direct_calls_;
    const std::size_t most = disk_.short_reads_ ? io::kDirectAlignment : into.size();
    return below_->read_at(offset, into.first(std::min(most, into.size())));
  }

  bool is_cached(base::Range) override {
    const std::scoped_lock lock(disk_.mutex_);
    return disk_.cached_;
  }

  bool is_remote() override {
    const std::scoped_lock lock(disk_.mutex_);
    return disk_.remote_;
  }

  bool tells_changes() override {
    const std::scoped_lock lock(disk_.mutex_);
    return disk_.tells_changes_;
  }

  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    const std::scoped_lock lock(disk_.mutex_);
    const std::optional<Fault> fault = disk_.count_call();
    if (fault == Fault::kTornWrite || fault == Fault::kKilled) {
      TRY(below_->write_at(offset, bytes.first(bytes.size() / 2)));
    }
    if (fault) {
      return injected(fault == Fault::kExhausted, path_);
    }
    return below_->write_at(offset, bytes);
  }

  Result<io::FileInfo> info() override {
    const std::scoped_lock lock(disk_.mutex_);
    TRY(disk_.count_call(path_));
    return below_->info();
  }

  Result<void> sync() override {
    const std::scoped_lock lock(disk_.mutex_);
    TRY(disk_.count_call(path_));
    node_->durable = contents(*below_);
    return {};
  }

  Result<void> reserve(std::uint64_t bytes) override {
    const std::scoped_lock lock(disk_.mutex_);
    TRY(disk_.count_call(path_));
    return below_->reserve(bytes);
  }

  Result<void> set_mode(std::uint32_t mode) override {
    const std::scoped_lock lock(disk_.mutex_);
    TRY(disk_.count_call(path_));
    TRY(below_->set_mode(mode));
    node_->mode = mode;
    return {};
  }

  Result<void> set_used(std::int64_t atime_ns) override {
    const std::scoped_lock lock(disk_.mutex_);
    TRY(disk_.count_call(path_));
    return below_->set_used(atime_ns);
  }

  Result<bool> try_lock(io::Lock kind) override {
    const std::scoped_lock lock(disk_.mutex_);
    TRY(disk_.count_call(path_));
    return below_->try_lock(kind);
  }

  Result<void> clone_range(io::OpenFile& from, base::Range range, std::uint64_t to) override {
    const std::scoped_lock lock(disk_.mutex_);
    TRY(disk_.count_call(path_));
    return below_->clone_range(from, range, to);
  }

  int descriptor() const override { return below_->descriptor(); }

 private:
  FaultyFileSystem& disk_;
  const std::unique_ptr<io::OpenFile> below_;
  const std::shared_ptr<Node> node_;
  const std::string path_;
};

FaultyFileSystem::FaultyFileSystem(io::FileSystem& below) : below_(below) {}

FaultyFileSystem::~FaultyFileSystem() = default;

void FaultyFileSystem::fail_call(std::uint64_t nth, Fault fault) {
  const std::scoped_lock lock(mutex_);
  failing_call_ = calls_ + nth;
  fault_ = fault;
}

void FaultyFileSystem::give_short_reads() {
  const std::scoped_lock lock(mutex_);
  short_reads_ = true;
}

void FaultyFileSystem::pretend(Pretence pretence) {
  const std::scoped_lock lock(mutex_);
  cached_ = pretence.cached;
  remote_ = pretence.remote;
  direct_reads_ = pretence.direct_reads;
  tells_changes_ = pretence.tells_changes;
}

std::uint64_t FaultyFileSystem::direct_calls() const {
  const std::scoped_lock lock(mutex_);
  return direct_calls_;
}

void FaultyFileSystem::restart() {
  const std::scoped_lock lock(mutex_);
  power_is_off_ = false;
  failing_call_ = 0;
}

void FaultyFileSystem::lose_power(Names unsynced_names) {
  const std::scoped_lock lock(mutex_);
  if (unsynced_names == Names::kForgotten) {
    forget_names();
  }
  clear_disk();
  restore_disk();
  power_is_off_ = false;
  failing_call_ = 0;
}

std::uint64_t FaultyFileSystem::calls() const {
  const std::scoped_lock lock(mutex_);
  return calls_;
}

Result<std::unique_ptr<io::OpenFile>> FaultyFileSystem::open(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  TRY(count_call(path));
  const Name& known = name(path);
  auto file = TRY(below_.open(path));
  return std::unique_ptr<io::OpenFile>(
      std::make_unique<File>(*this, std::move(file), known.now, path));
}

Result<std::unique_ptr<io::OpenFile>> FaultyFileSystem::create(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  TRY(count_call(path));
  Name& known = name(path);
  auto file = TRY(below_.create(path));
  known.now = std::make_shared<Node>();
  return std::unique_ptr<io::OpenFile>(
      std::make_unique<File>(*this, std::move(file), known.now, path));
}

Result<io::FileInfo> FaultyFileSystem::info(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  TRY(count_call(path));
  return below_.info(path);
}

Result<std::vector<io::DirectoryEntry>> FaultyFileSystem::list(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  TRY(count_call(path));
  return below_.list(path);
}

Result<void> FaultyFileSystem::rename(const std::string& from, const std::string& to) {
  const std::scoped_lock lock(mutex_);
  TRY(count_call(to));
  Name& source = name(from);
  Name& target = name(to);
  if (source.now != nullptr && source.now->is_directory) {
    return Error(Code::kUnsupported, "directories are not renamed here").in_file(from);
  }
  TRY(below_.rename(from, to));
  target.now = std::exchange(source.now, nullptr);
  return {};
}

Result<void> FaultyFileSystem::remove(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  TRY(count_call(path));
  Name& known = name(path);
  TRY(below_.remove(path));
  known.now = nullptr;
  return {};
}

Result<void> FaultyFileSystem::make_directory(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  TRY(count_call(path));
  Name& known = name(path);
  TRY(below_.make_directory(path));
  known.now = std::make_shared<Node>(Node{true, {}, 0755});
  return {};
}

Result<void> FaultyFileSystem::sync_directory(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  TRY(count_call(path));
  for (auto& [known_path, known] : names_) {
    if (parent_of(known_path) == path) {
      known.durable = known.now;
    }
  }
  return {};
}

Result<std::unique_ptr<io::OpenFile>> FaultyFileSystem::open_to_write(const std::string& path,
                                                                      io::Caching /*caching*/) {
  const std::scoped_lock lock(mutex_);
  TRY(count_call(path));
  const Name& known = name(path);
  auto file = TRY(below_.open_to_write(path, io::Caching::kKeep));
  return std::unique_ptr<io::OpenFile>(
      std::make_unique<File>(*this, std::move(file), known.now, path));
}

Result<void> FaultyFileSystem::link(const std::string& from, const std::string& to) {
  const std::scoped_lock lock(mutex_);
  TRY(count_call(to));
  const Name& source = name(from);
  Name& target = name(to);
  TRY(below_.link(from, to));
  target.now = source.now;
  return {};
}

Result<io::Volume> FaultyFileSystem::volume(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  TRY(count_call(path));
  return below_.volume(path);
}

Result<void> FaultyFileSystem::sync_volume(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  TRY(count_call(path));
  for (auto& [known_path, known] : names_) {
    if (known.now != nullptr && !known.now->is_directory) {
      known.now->durable = contents(*below_.open(known_path).value());
    }
    known.durable = known.now;
  }
  return {};
}

std::optional<FaultyFileSystem::Fault> FaultyFileSystem::count_call() {
  ++calls_;
  if (power_is_off_) {
    return Fault::kPowerLoss;
  }
  if (calls_ != failing_call_) {
    return std::nullopt;
  }
  power_is_off_ = fault_ == Fault::kPowerLoss || fault_ == Fault::kKilled;
  return fault_;
}

Result<void> FaultyFileSystem::count_call(const std::string& path) {
  const std::optional<Fault> fault = count_call();
  if (fault) {
    return injected(fault == Fault::kExhausted, path);
  }
  return {};
}

// Whatever stands there when it is first asked about has been there for long.
FaultyFileSystem::Name& FaultyFileSystem::name(const std::string& path) {
  const auto [place, is_new] = names_.try_emplace(path);
  const auto info = below_.info(path);
  if (is_new && info.ok()) {
    const bool is_directory = info->kind == io::Kind::kDirectory;
    auto node = std::make_shared<Node>(Node{is_directory, {}, info->mode});
    if (!is_directory) {
      node->durable = contents(*below_.open(path).value());
    }
    place->second = {node, node};
  }
  return place->second;
}

void FaultyFileSystem::forget_names() {
  for (auto& [path, known] : names_) {
    known.now = known.durable;
  }
}

// Takes away all known files, and the directories that will not be there, children first.
void FaultyFileSystem::clear_disk() {
  std::for_each(names_.rbegin(), names_.rend(), [&](const auto& place) {
    const auto& [path, known] = place;
    const auto info = below_.info(path);
    const bool stays = known.now != nullptr && known.now->is_directory;
    if (info.ok() && !stays) {
      WB_CHECK(below_.remove(path).ok(), "cannot take away a lost file");
    }
  });
}

void FaultyFileSystem::restore_disk() {
  std::map<const Node*, std::string> restored;  // files, by their first name
  for (auto& [path, known] : names_) {
    const bool lost_with_parent = !below_.info(parent_of(path)).ok();
    if (known.now == nullptr || lost_with_parent) {
      known = {};
      continue;
    }
    const auto [first, is_first] = restored.try_emplace(known.now.get(), path);
    if (!known.now->is_directory && !is_first) {
      WB_CHECK(below_.link(first->second, path).ok(), "cannot restore a link");
    } else if (!known.now->is_directory) {
      const auto file = below_.create(path);
      WB_CHECK(file.ok() && file.value()->write_at(0, known.now->durable).ok() &&
                   file.value()->set_mode(known.now->mode).ok(),
               "cannot restore");
    } else if (!below_.info(path).ok()) {
      WB_CHECK(below_.make_directory(path).ok(), "cannot restore a directory");
    }
    known.durable = known.now;
  }
}

}  // namespace weighbridge::testing
