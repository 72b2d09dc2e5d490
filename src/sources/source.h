#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/body_sink.h"
#include "base/call.h"
#include "base/range.h"
#include "io/file_system.h"
#include "model/proof.h"
#include "model/ref.h"
#include "model/snapshot.h"

namespace weighbridge::sources {

// What a source lists: the files it would give, and what stands beside them that it would not.
struct Listing {
  // In byte order of paths; with digests, and the trust they are held with, where the origin names
  // them.
  std::vector<model::File> files;
  std::vector<model::Refused> refused;  // links to directories, devices, what may not be read, ...
};

// A file on a disk of this machine, as it stands there now.
struct LocalFile {
  io::FileInfo info;
  model::Validator validator;  // the one find() gives
};

// Where bytes come from: one Ref, opened. Every call is ONE try: it neither retries nor hedges
// (transfer owns those). Thread-safe; each call blocks its own thread.
class Source {
 public:
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  virtual ~Source() = default;

  // The name of the file if the Ref names one file alone, empty if it names a directory.
  virtual base::Result<std::string> single_file(const base::Call& call) = 0;

  // The bytes of `weighbridge.seal` beside the files, or nothing if there is none.
  virtual base::Result<std::optional<std::vector<std::byte>>> seal(const base::Call& call) = 0;

  // With what trust that seal is held, once it was read, where the Ref does not pin it.
  virtual model::Trust seal_trust() const { return model::Trust::kOrigin; }

  // All files below a directory, or nothing if this kind of source cannot list.
  virtual base::Result<std::optional<Listing>> list(const base::Call& call) = 0;

  // Size and validator of the file at `path`. kNotFound, or kDenied where the origin will not say.
  virtual base::Result<model::File> find(const base::Call& call, std::string_view path) = 0;

  // Which file that is on a disk of this machine; nothing where it comes over a network, or through
  // a file system whose time stamps are not this machine's.
  virtual base::Result<std::optional<LocalFile>> local(const base::Call&, std::string_view) {
    return std::optional<LocalFile>();
  }

  // Is it still that file, and will its times tell of every write from now on? Not where it lives
  // in memory, nor while it waits to be written back. Costs a look at all of its page cache.
  virtual base::Result<bool> tells_changes(const base::Call&, std::string_view, const LocalFile&) {
    return false;
  }

  // Bytes `range` of `file`, in order, into `sink`. kUnsupported, with nothing delivered, when the
  // origin can only send the file from its beginning and the range begins elsewhere; kConflict when
  // it is no longer the file that `file` describes, or kCorrupt when `file` has no validator and
  // another size. Errors carry the file's printable name.
  virtual base::Result<void> read(const base::Call& call,
                                  const model::File& file,
                                  base::Range range,
                                  base::BodySink& sink) = 0;

  // The file's name as a person would write it: a URL without secrets, or a path.
  virtual std::string printable(std::string_view path) const = 0;

  // Tells files of one process apart, also where only a query does: holds no secret that could be
  // read out of it, and is not for people.
  virtual std::string identity(std::string_view path) const = 0;

  // How many reads at once are polite and useful, at most.
  virtual std::size_t max_connections() const = 0;

  // How many to begin with. Where these are fewer, the source stands behind a network: transfer
  // finds out how many are useful, and asks again for what lags.
  virtual std::size_t first_connections() const { return max_connections(); }
};

// Opens the Source of a Ref; `main` wires one that knows every kind.
using OpenSource = std::function<base::Result<std::unique_ptr<Source>>(const model::Ref&)>;

}  // namespace weighbridge::sources
