// The tar reader, behind each decompressor: whatever comes, files have the size they were announced
// with, and paths that stand in a Snapshot.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "model/snapshot.h"
#include "pack/decompress.h"
#include "pack/tar_reader.h"

namespace {

using namespace weighbridge;

constexpr std::uint64_t kLimit = 1 << 20;

class CheckingSink final : public pack::EntrySink {
 public:
  base::Result<void> begin(const pack::Entry& entry) override {
    WB_CHECK(model::is_snapshot_path(entry.path), "a path that leads anywhere");
    WB_CHECK(entry.size <= kLimit, "a file above the limit");
    left_ = entry.size;
    return {};
  }

  base::Result<void> write(std::span<const std::byte> bytes) override {
    WB_CHECK(bytes.size() <= left_, "more bytes than were announced");
    left_ -= bytes.size();
    return {};
  }

  base::Result<void> end() override {
    WB_CHECK(left_ == 0, "fewer bytes than were announced");
    return {};
  }

 private:
  std::uint64_t left_ = 0;
};

void read(std::span<const std::byte> bytes, pack::Compression compression, std::size_t step) {
  CheckingSink sink;
  pack::PathSet paths;
  pack::TarReader reader({kLimit}, paths, sink);
  auto decompressor = pack::Decompressor::open(compression).value();
  while (!bytes.empty()) {
    const std::span<const std::byte> part = bytes.first(std::min(step, bytes.size()));
    const auto fed =
        decompressor->feed(part, [&](std::span<const std::byte> out) { return reader.feed(out); });
    if (!fed.ok()) {
      return;
    }
    bytes = bytes.subspan(part.size());
  }
  (void)reader.finish().ok();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  if (bytes.empty()) {
    return 0;
  }
  const auto kind = static_cast<unsigned>(bytes[0]);
  constexpr pack::Compression kKinds[] = {
      pack::Compression::kNone, pack::Compression::kGzip, pack::Compression::kZstd};
  read(bytes.subspan(1), kKinds[kind % 3], kind < 128 ? 1000 : 1 + kind % 7);
  return 0;
}
