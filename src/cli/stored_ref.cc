#include "cli/stored_ref.h"

#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include <sys/sysmacros.h>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"

namespace weighbridge::cli {
namespace {

using base::Code;
using base::Error;
using base::Result;

// What the kernel makes as it is read, and therefore has no size.
std::string read_proc(io::FileSystem& files, const std::string& path) {
  constexpr std::size_t kMaxBytes = base::kMiB;
  const auto file = files.open(path);
  std::string text;
  std::vector<char> buffer(64 * base::kKiB);
  while (file.ok() && text.size() < kMaxBytes) {
    const auto read = (*file)->read_at(text.size(), std::as_writable_bytes(std::span(buffer)));
    if (!read.ok() || *read == 0) {
      break;
    }
    text.append(buffer.data(), *read);
  }
  return text;
}

}  // namespace

Error no_such_ref(std::string_view text) {
  const auto ref = model::Ref::parse(text);
  if (!ref.ok()) {
    return ref.error().copy();
  }
  return Error(Code::kNotFound, "the store has no such reference")
      .in_file(ref->printable())
      .with_hint("`weighbridge ls` names those it has.");
}

Result<store::StoredRef> find_stored_ref(store::Store& store, std::string_view text) {
  const model::Ref ref = TRY(model::Ref::parse(text));
  const std::string name = store::ref_file_name(ref);
  std::vector<store::StoredRef> alike;
  for (store::StoredRef& stored : TRY(store.refs().all())) {
    if (stored.name == name) {
      return std::move(stored);
    }
    if (stored.record.ref == ref.printable()) {
      alike.push_back(std::move(stored));
    }
  }
  if (alike.size() == 1) {
    return std::move(alike.front());
  }
  if (alike.empty()) {
    return no_such_ref(text);
  }
  return Error(Code::kInvalid, "several references print like this one")
      .in_file(ref.printable())
      .with_hint("Write it as it was pulled, with what is not printed of it.");
}

std::optional<std::string> canonical_path(std::string_view text) {
  std::error_code failed;
  const auto path = std::filesystem::canonical(std::filesystem::path(text), failed);
  return failed ? std::nullopt : std::optional(path.string());
}

// A line of /proc/locks: "1: FLOCK  ADVISORY  READ 4711 08:01:1234 0 EOF".
std::string lock_holders(io::FileSystem& files, const std::string& path) {
  const auto info = files.info(path);
  if (!info.ok()) {
    return {};
  }
  const std::string file = fmt::format(
      "{:02x}:{:02x}:{}", gnu_dev_major(info->device), gnu_dev_minor(info->device), info->inode);
  const std::string locks = read_proc(files, "/proc/locks");
  std::vector<std::string> holders;
  for (const std::string_view line : base::split(locks, '\n')) {
    std::vector<std::string_view> words;
    for (const std::string_view word : base::split(line, ' ')) {
      if (!word.empty()) {
        words.push_back(word);
      }
    }
    constexpr std::size_t kProcess = 4;
    if (words.size() > kProcess + 1 && words[1] == "FLOCK" && words[kProcess + 1] == file) {
      const std::string name = read_proc(files, fmt::format("/proc/{}/comm", words[kProcess]));
      holders.push_back(
          fmt::format("process {} ({})", words[kProcess], base::printable(base::trim(name))));
    }
  }
  return fmt::format("{}", fmt::join(holders, ", "));
}

}  // namespace weighbridge::cli
