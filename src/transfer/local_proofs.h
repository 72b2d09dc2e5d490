#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/call.h"
#include "hash/digest.h"
#include "model/snapshot.h"
#include "sources/source.h"
#include "store/proofs.h"
#include "sync/guarded.h"

namespace weighbridge::transfer {

// What this machine knows of its own files because it has hashed them: in earlier processes
// (store::Proofs) and, piece by piece, in this one. A seal beside a file adds nothing here.
// A disk that cannot be read or written costs this memory and nothing else; note() says so.
// Thread-safe.
class LocalProofs {
 public:
  // More pieces of files that are not whole yet are not kept: 1 TiB of them.
  static constexpr std::uint64_t kMaxPieces = 1024 * 1024;

  // A file of this machine, as a run met it. A value; Thread-compatible.
  struct Met {
    sources::LocalFile file;
    base::WallTime when;  // before its first read
    // What hashing it gave; set only if that is what it is asked to be, so that its bytes need not
    // be hashed while the file stays what it is.
    std::optional<store::HashedFile> known;
    // If not known: what hashing it gives may be, because every later write moves its times.
    bool may_be_remembered = false;
  };

  // Borrows `proofs` for its life.
  explicit LocalProofs(store::Proofs& proofs) : proofs_(proofs) {}

  // From now on no file is known: every byte is hashed (--verify always), and remembered still.
  void hash_always() { hash_always_ = true; }

  // Nothing for a file that is not on a disk of this machine, or is not the one described.
  // `hash_it`: it is to be hashed, known or not.
  std::optional<Met> meet(const base::Call& call,
                          sources::Source& source,
                          const model::File& file,
                          bool hash_it);

  // A piece was hashed, and the file was the one that was met before and after it was read. With
  // the last of them the file is kept for remember().
  void hashed(const Met& met, std::uint64_t piece, const hash::ChainingValue& value);
  // The same of all pieces at once, with the SHA-256 of the same bytes.
  void hashed_whole(const Met& met,
                    const std::vector<hash::ChainingValue>& pieces,
                    const hash::Sha256Digest& sha256);

  // Writes down the files that have become whole. Blocks for the disk, so it is called once, at the
  // end of a run.
  void remember();

  // Why proofs could not be read or written, the last time that happened.
  std::optional<std::string> note() const {
    return note_.with([](const std::optional<std::string>& note) { return note; });
  }

 private:
  struct Seen {
    io::FileInfo info;
    base::WallTime since;
    std::vector<std::optional<hash::ChainingValue>> pieces;
    std::uint64_t missing = 0;
  };

  struct Whole {
    io::FileInfo info;
    base::WallTime since;
    store::HashedFile hashed;
  };

  struct State {
    std::map<std::pair<std::uint64_t, std::uint64_t>, Seen> seen;  // by device and inode
    std::uint64_t pieces = 0;                                      // in `seen`
    std::vector<Whole> whole;
  };

  // What hashing gave, if that is what the file is asked to be.
  std::optional<store::HashedFile> look_up(const io::FileInfo& info, const model::File& file);
  static void take(State& state, const Met& met, std::uint64_t piece, hash::ChainingValue value);
  void take_note(const base::Error& error);

  store::Proofs& proofs_;
  std::atomic<bool> hash_always_ = false;
  sync::Guarded<State> state_;
  sync::Guarded<std::optional<std::string>> note_;
};

}  // namespace weighbridge::transfer
