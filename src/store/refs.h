#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "hash/digest.h"
#include "model/proof.h"
#include "model/ref.h"
#include "model/snapshot.h"
#include "store/home.h"

namespace weighbridge::store {

// No record of a Ref is longer than this.
inline constexpr std::uint64_t kMaxRefRecordBytes = 64ULL * 1024 * 1024;

// What a Ref last resolved to. A value; Thread-compatible.
struct RefRecord {
  // What the origin said of one file, or of the seal: to see cheaply whether it still says so.
  struct Noted {
    std::string path;
    std::uint64_t size = 0;
    model::Validator validator;

    friend bool operator==(const Noted&, const Noted&) = default;
  };

  std::string ref;  // printable: no credentials
  std::optional<hash::Root> content_id;
  std::optional<hash::Sha256Digest> seal_sha256;
  model::Trust trust = model::Trust::kNone;
  std::uint64_t resolved_s = 0;  // since 1970
  std::vector<Noted> files;      // in byte order of their paths

  friend bool operator==(const RefRecord&, const RefRecord&) = default;
};

// A Ref of which there is a record, found by its file: of one that had credentials only the
// printable form is known. A value; Thread-compatible.
struct StoredRef {
  std::string name;  // of its files in refs/ and pins/
  RefRecord record;
  std::optional<hash::Root> pinned;  // the content_id
};

// The canonical bytes (docs/formats/store.md). kInvalid for paths out of order or not allowed.
base::Result<std::vector<std::byte>> write_ref(const RefRecord& record);
// kCorrupt for anything that write_ref() would not have written.
base::Result<RefRecord> parse_ref(std::span<const std::byte> bytes);

// The name of a Ref's file: readable, and other for every other Ref.
std::string ref_file_name(const model::Ref& ref);

// What Refs last resolved to, which snapshots are pinned by which Ref, and seals byte for byte.
// Thread-safe, and safe for several processes on one home: every file appears whole.
class Refs {
 public:
  // Borrows `home` for its life.
  explicit Refs(Home& home) : home_(home) {}

  // Durable when it returns.
  base::Result<void> put(const model::Ref& ref, const RefRecord& record);
  // Nothing if it never resolved here, or the record is damaged.
  base::Result<std::optional<RefRecord>> find(const model::Ref& ref) const;
  // Damaged ones are left out; in the order of `ref`.
  base::Result<std::vector<StoredRef>> all() const;
  base::Result<void> remove(const model::Ref& ref);
  base::Result<void> remove(const StoredRef& stored);

  // The snapshot is not evicted until it is unpinned, whatever the Ref resolves to later.
  base::Result<void> pin(const model::Ref& ref, const hash::Root& content_id);
  base::Result<void> pin(const StoredRef& stored, const hash::Root& content_id);
  base::Result<void> unpin(const model::Ref& ref);
  base::Result<void> unpin(const StoredRef& stored);
  base::Result<std::optional<hash::Root>> pinned(const model::Ref& ref) const;

  // Returns the SHA-256 that it is kept by.
  base::Result<hash::Sha256Digest> put_seal(std::span<const std::byte> seal);
  // kNotFound if it is not there; kCorrupt if it is not what it was.
  base::Result<std::vector<std::byte>> seal(const hash::Sha256Digest& sha256) const;

 private:
  base::Result<void> write(std::string_view directory,
                           const std::string& name,
                           std::span<const std::byte> bytes);
  base::Result<void> write_pin(const std::string& name, const hash::Root& content_id);
  base::Result<std::optional<hash::Root>> read_pin(const std::string& name) const;

  Home& home_;
};

// The snapshots that any Ref pins, also where its record is gone.
base::Result<std::vector<hash::Root>> pinned_snapshots(const Home& home);

}  // namespace weighbridge::store
