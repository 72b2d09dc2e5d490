#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "formats/seal.h"
#include "hash/digest.h"
#include "io/file_system.h"
#include "model/snapshot.h"
#include "store/partial.h"
#include "store/proofs.h"
#include "transfer/published.h"

namespace weighbridge::transfer {

// What a pull keeps in the directory that it writes into, until it has ended.
inline constexpr std::string_view kPartialDirectory = ".weighbridge-partial";

// A directory of the user's while a pull writes into it: knows what stands there and whose it is,
// and changes it so that at every moment, also after a power loss, a seal stands there only if all
// it lists does. (docs/formats/journal.md)
// Confined to one thread; one pull at a time has a directory.
class TargetDirectory {
 public:
  // `files`: the directory, as io::open_beneath gives it. `proofs`: what this machine has hashed
  // before, or null. Both outlive this. kBusy: another pull writes there. kExists: a seal stands
  // there that cannot be read.
  static base::Result<std::unique_ptr<TargetDirectory>> open(io::FileSystem& files,
                                                             store::Proofs* proofs);

  TargetDirectory(const TargetDirectory&) = delete;
  TargetDirectory& operator=(const TargetDirectory&) = delete;
  // Takes away what it keeps there if no later pull could use it.
  ~TargetDirectory();

  // How a wanted file stands there.
  struct Standing {
    bool is_there = false;           // it is what is wanted
    bool is_ours = false;            // it is not, and may be replaced
    bool executable = false;         // as it stands there
    std::optional<hash::Root> root;  // of what is there
  };

  // kExists, naming it: what stands there is neither what is wanted nor, unchanged, from an earlier
  // pull; or is no file. kDenied: a link stands in the way. Hashes what was not hashed before.
  // `id`: of its partial file, if that tells revisions apart.
  base::Result<Standing> look_at(const base::Call& call,
                                 const model::File& file,
                                 const std::optional<hash::Root>& id);

  // kExists, naming both: this file system takes two of these names for one.
  base::Result<void> check_names(std::span<const model::File> files);

  // Where the partial file of `id` is kept.
  store::Partial::Place place_of(const hash::Root& id, bool resumable) const;

  // Removes partial files that nobody wants.
  base::Result<void> keep_only(const std::set<std::string>& ids);

  // Files that are complete and proved.
  struct Complete {
    store::Partial& partial;
    hash::Root id;
    hash::Root root;
  };

  // Gives them their names, durably, all together; the earlier seal is taken away before. kConflict
  // if something else has come to stand there.
  base::Result<void> publish(std::span<const Complete> files);

  // Sets or takes the executable bit of a file that stands there.
  base::Result<void> set_executable(const model::File& file);

  struct Removed {
    std::vector<std::string> removed;
    std::vector<std::string> left;  // changed since an earlier pull brought them
  };

  // Takes away what earlier pulls brought and `wanted` lacks, unless it has changed.
  base::Result<Removed> remove_others(const base::Call& call, const model::Snapshot& wanted);

  // The last act: from here on the seal describes the directory. Nothing is kept there any more.
  base::Result<void> finish(std::span<const std::byte> seal);

  // What the seal describes that an earlier pull, or somebody else, left there; empty if there is
  // none. Of files that may have changed.
  const std::vector<formats::SealedFile>& earlier() const { return earlier_.files; }

  // The bytes of the seal that stands there now; nothing if none does.
  const std::optional<std::vector<std::byte>>& seal() const { return seal_; }

  io::FileSystem& files() { return files_; }

 private:
  TargetDirectory(io::FileSystem& files, store::Proofs* proofs, std::unique_ptr<io::OpenFile> lock)
      : files_(files), proofs_(proofs), lock_(std::move(lock)) {}

  struct Hashed {
    hash::Root root;
    std::optional<hash::Sha256Digest> sha256;
  };

  // What is known of a path: the roots that it may have had from us.
  using Ours = std::map<std::string, std::map<hash::Root, std::uint64_t>, std::less<>>;

  base::Result<void> read_seals();
  base::Result<void> read_published();
  base::Result<std::optional<io::FileInfo>> find(const std::string& path);
  bool may_be_ours(const std::string& path, std::uint64_t size) const;
  bool is_ours(const std::string& path, const hash::Root& root) const;
  base::Result<Hashed> hash(const base::Call& call, const std::string& path, bool with_sha256);
  base::Result<bool> is_unchanged(const base::Call& call,
                                  const std::string& path,
                                  const io::FileInfo& info);
  base::Result<void> retire_seal();
  base::Result<void> note(std::span<const Complete> files);
  base::Result<void> sync(std::span<const Complete> files);
  base::Result<void> make_parents(const std::string& path, std::set<std::string>& changed);
  base::Result<void> sync_names(const std::set<std::string>& directories);
  base::Result<bool> folds_names();

  io::FileSystem& files_;
  store::Proofs* const proofs_;
  const std::unique_ptr<io::OpenFile> lock_;
  std::optional<std::vector<std::byte>> seal_;
  formats::Seal earlier_;
  Ours ours_;
  std::map<std::string, PublishedFile> published_;  // by id
  std::vector<PublishedFile> published_now_;
  std::set<std::string> made_;       // directories
  std::set<std::string> looked_at_;  // paths where something of ours stands, to be replaced
};

}  // namespace weighbridge::transfer
