#include "cli/lock_file.h"

#include <utility>

#include <fmt/format.h>

namespace weighbridge::cli {

using base::Code;
using base::Error;
using base::Result;

Result<formats::Lock> read_lock(io::FileSystem& files, const std::string& path) {
  const auto bytes = TRY(io::read_file(files, path, formats::kMaxLockBytes));
  auto lock = formats::parse_lock(bytes);
  return lock.ok() ? std::move(lock) : std::move(lock).error().in_file(path);
}

Result<LockedRef> locked(const formats::Lock& lock, const model::Ref& ref) {
  const formats::LockEntry* const entry = lock.find(ref.text());
  if (entry == nullptr) {
    return Error(Code::kNotFound, ref.printable() + " is not locked")
        .in_file(ref.printable())
        .with_hint("`weighbridge lock REF` locks what was pulled.");
  }
  const bool is_pinned = ref.pinned_sha256() || ref.pinned_root();
  if (is_pinned || !entry->seal_sha256) {
    return LockedRef{ref, *entry};
  }
  const std::string pinned = fmt::format("{}#sha256={}", ref.text(), entry->seal_sha256->hex());
  return LockedRef{TRY(model::Ref::parse(pinned)), *entry};
}

}  // namespace weighbridge::cli
