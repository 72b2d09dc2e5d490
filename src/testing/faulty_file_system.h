#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "io/file_system.h"

namespace weighbridge::testing {

// A file system over another one that fails when told to, counts its calls, and can lose power.
// A test learns the number of calls from one good run, then fails each of them in turn.
//
// Of every path it is asked about it remembers what has reached the disk: bytes by sync(), names
// by sync_directory(), and nothing else, as POSIX promises no more. What was there before counts as
// durable. Directories are not renamed through it (kUnsupported). Thread-safe; every call takes
// one lock. Outlives the files it opened.
class FaultyFileSystem final : public io::FileSystem {
 public:
  enum class Fault : std::uint8_t {
    kIo,         // EIO: the call does nothing
    kExhausted,  // ENOSPC: the call does nothing
    kTornWrite,  // a write leaves half of its bytes, then EIO; any other call is as with kIo
    kKilled,     // a write leaves its first half, and all later calls fail until restart()
    kPowerLoss,  // this call and all later ones fail until lose_power()
  };
  // Names that were not synced may have reached the disk all the same.
  enum class Names : std::uint8_t { kForgotten, kKept };

  // What its files say of where they lie. Direct reads abort if they are not aligned, and are read
  // from below as any others.
  struct Pretence {
    bool cached = true;
    bool remote = false;
    bool direct_reads = false;
    bool tells_changes = true;
  };

  // Borrows `below` for its life.
  explicit FaultyFileSystem(io::FileSystem& below);
  ~FaultyFileSystem() override;

  // The `nth` call from now on, counted from 1, fails; those after it do not.
  void fail_call(std::uint64_t nth, Fault fault);
  // From now on a read gives at most 7 bytes, a direct one the least that it can.
  void give_short_reads();
  void pretend(Pretence pretence);
  // Direct reads that were not refused.
  std::uint64_t direct_calls() const;
  // Throws away what has not reached the disk, then works again, as after a restart. Files that are
  // open must not be used any more.
  void lose_power(Names unsynced_names);
  // Works again as it stands, as for the next process after a kill.
  void restart();
  // Of the file system and its files.
  std::uint64_t calls() const;

  base::Result<std::unique_ptr<io::OpenFile>> open(const std::string& path) override;
  base::Result<std::unique_ptr<io::OpenFile>> create(const std::string& path) override;
  base::Result<io::FileInfo> info(const std::string& path) override;
  base::Result<std::vector<io::DirectoryEntry>> list(const std::string& path) override;
  base::Result<void> rename(const std::string& from, const std::string& to) override;
  base::Result<void> remove(const std::string& path) override;
  base::Result<void> make_directory(const std::string& path) override;
  base::Result<void> sync_directory(const std::string& path) override;
  // Always through the page cache, so that every write can be torn anywhere.
  base::Result<std::unique_ptr<io::OpenFile>> open_to_write(const std::string& path,
                                                            io::Caching caching) override;
  base::Result<void> link(const std::string& from, const std::string& to) override;
  base::Result<io::Volume> volume(const std::string& path) override;
  base::Result<void> sync_volume(const std::string& path) override;

 private:
  class File;

  // A file or directory, whatever it is called. `durable` is what a power loss leaves of a file.
  struct Node {
    bool is_directory = false;
    std::vector<std::byte> durable;
    std::uint32_t mode = 0644;
  };

  // Where a path leads now, and where it leads after a power loss; null: nowhere.
  struct Name {
    std::shared_ptr<Node> now;
    std::shared_ptr<Node> durable;
  };

  // All of these are called with the lock held.
  std::optional<Fault> count_call();
  base::Result<void> count_call(const std::string& path);
  Name& name(const std::string& path);
  void forget_names();
  void clear_disk();
  void restore_disk();

  io::FileSystem& below_;
  mutable std::mutex mutex_;
  std::map<std::string, Name> names_;  // every path that was ever asked about, parents first
  std::uint64_t calls_ = 0;
  std::uint64_t failing_call_ = 0;
  Fault fault_ = Fault::kIo;
  bool power_is_off_ = false;
  bool short_reads_ = false;
  bool cached_ = true;
  bool remote_ = false;
  bool direct_reads_ = false;
  bool tells_changes_ = true;
  std::uint64_t direct_calls_ = 0;
};

}  // namespace weighbridge::testing
