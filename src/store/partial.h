#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/range.h"
#include "base/result.h"
#include "hash/digest.h"
#include "io/file_system.h"
#include "model/snapshot.h"
#include "store/journal.h"

namespace weighbridge::store {

// One file that is being fetched: its data with all space reserved, and a journal of the pieces
// that are there, so that whoever comes after a kill goes on with the others. One process at a time
// has it. In the store, or in a directory that is pulled into. (docs/formats/journal.md)
// Thread-safe: different pieces come from different threads. When destroyed it leaves what it has
// for later.
class Partial {
 public:
  struct Place {
    std::string directory;  // exists
    std::string id;         // <id>.data and <id>.journal in it
    io::Caching caching = io::Caching::kBypass;
    std::uint64_t checkpoint_bytes = kCheckpointBytes;
    bool resumable = true;  // false: what is there may be of another revision, and is dropped
  };

  // Takes space: calls `take`, which reserves it, once so many bytes may be.
  using Take = std::function<base::Result<void>()>;
  using Admit = std::function<base::Result<void>(std::uint64_t bytes, const Take& take)>;

  // Null while somebody else has it, or just gave it away: look again. kExhausted: no space, or
  // not admitted; nothing is left behind. `file` is copied; of its pieces those that the journal
  // contradicts count as missing. Borrows `files` for its life.
  static base::Result<std::unique_ptr<Partial>> try_open(io::FileSystem& files,
                                                         Place place,
                                                         const model::File& file,
                                                         const Admit& admit);

  Partial(const Partial&) = delete;
  Partial& operator=(const Partial&) = delete;

  const model::File& file() const { return file_; }

  const std::string& id() const { return place_.id; }

  bool has(std::uint64_t piece) const;
  // What is missing, as ranges of whole pieces, in order.
  std::vector<base::Range> missing() const;

  // Pieces that lie one after the other, the first at index `first`, whole and with their values
  // (of a file's only piece, its root). The caller has proved them, or will prove the whole file
  // before it is published. Page-aligned memory goes past the page cache. Large runs are faster:
  // 4 MiB are best. kExhausted and kIo may pass, and the same pieces be written again.
  base::Result<void> write(std::uint64_t first,
                           std::span<const std::byte> bytes,
                           std::span<const hash::ChainingValue> values);

  // Bytes of pieces that it has.
  base::Result<void> read(std::uint64_t offset, std::span<std::byte> into);
  // Shares bytes of another file instead of writing them (kUnsupported where the disk cannot); the
  // caller reads and proves them, then says so with adopt().
  base::Result<void> clone(io::OpenFile& from, base::Range range, std::uint64_t to);
  base::Result<void> adopt(std::uint64_t piece, const hash::ChainingValue& value);

  // The root that all pieces merge to; nothing while one is missing.
  std::optional<hash::Root> root() const;
  std::vector<hash::ChainingValue> values() const;

  // Returns when data and size have reached the disk; what was journalled lasts from then on.
  // After a failure only discard() helps: the next fetch begins anew.
  base::Result<void> sync();
  // Under its final name from now on; complete and synced, the caller's duty. The lock stays,
  // until this is destroyed.
  base::Result<void> publish(const std::string& path, std::uint32_t mode);

  // Turns the lock into a shared one, so that others may lease what was published.
  base::Result<bool> share() { return data_->try_lock(io::Lock::kShared); }

  base::Result<void> set_used(std::int64_t atime_ns) { return data_->set_used(atime_ns); }

  // Removes data and journal: for bytes that turned out wrong. Errors leave them for gc.
  void discard();

 private:
  Partial(io::FileSystem& files,
          Place place,
          const model::File& file,
          std::unique_ptr<io::OpenFile> data);

  std::string data_path() const { return place_.directory + "/" + place_.id + ".data"; }

  std::string journal_path() const { return place_.directory + "/" + place_.id + ".journal"; }

  bool has_journal() const { return values_.size() > 1; }

  // Only then checkpoints are made, and believed.
  bool is_large() const { return file_.size > place_.checkpoint_bytes; }

  base::Result<bool> is_mine() const;
  base::Result<void> resume_or_begin(const Admit& admit);
  base::Result<std::optional<Journal>> read_journal();
  base::Result<void> resume(const Journal& journal);
  base::Result<void> begin(const Admit& admit);
  base::Result<void> reserve(const Admit& admit);
  base::Result<void> allocate();
  base::Result<void> open_direct();
  base::Result<void> put(std::uint64_t offset, std::span<const std::byte> bytes);
  base::Result<bool> note(std::uint64_t first, std::span<const hash::ChainingValue> values);
  base::Result<void> checkpoint();
  base::Result<void> make_checkpoint();

  io::FileSystem& files_;
  const Place place_;
  const model::File file_;
  const std::unique_ptr<io::OpenFile> data_;  // holds the lock
  std::unique_ptr<io::OpenFile> direct_;      // the same, past the page cache; may be null
  std::atomic<bool> broken_ = false;          // a sync failed

  // Held while the journal is written, which must be in one order.
  mutable std::mutex mutex_;
  std::optional<JournalWriter> journal_;
  std::vector<bool> there_;
  std::vector<hash::ChainingValue> values_;
  std::uint64_t unsynced_bytes_ = 0;
  bool checkpointing_ = false;
  bool name_is_on_disk_ = false;
};

// The piece as it stands in the file, hashed; `buffer` holds kPieceBytes at least. kCorrupt if the
// file ends before it does.
base::Result<hash::ChainingValue> hash_piece(io::OpenFile& file,
                                             std::uint64_t piece,
                                             std::uint64_t file_bytes,
                                             std::span<std::byte> buffer);
// The root of a file from the values of all its pieces.
hash::Root root_of(std::span<const hash::ChainingValue> values);

}  // namespace weighbridge::store
