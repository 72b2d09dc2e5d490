#include "io/page_cache.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/units.h"

namespace weighbridge::io {
namespace {

constexpr std::uint64_t kPageBytes = 4096;
constexpr std::uint64_t kStepBytes = base::kMiB;
// Looks at most: a longer range is looked at more coarsely.
constexpr std::uint64_t kMaxLooks = 64;

// Linux 6.5; not in the headers of older systems. The number is the same on every architecture.
constexpr long kCachestat = 451;

struct CachestatRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

struct Cachestat {
  std::uint64_t cached = 0;
  std::uint64_t dirty = 0;
  std::uint64_t writeback = 0;
  std::uint64_t evicted = 0;
  std::uint64_t recently_evicted = 0;
};

enum class Answer : std::uint8_t { kYes, kNo, kNotSaid };

Answer ask_cachestat(int descriptor, std::uint64_t offset) {
  CachestatRange range{offset, kPageBytes};
  Cachestat found;
  if (::syscall(kCachestat, descriptor, &range, &found, 0) != 0) {
    return Answer::kNotSaid;
  }
  return found.cached > 0 ? Answer::kYes : Answer::kNo;
}

// Older kernels say it of a mapping, which is never touched.
Answer ask_mincore(int descriptor, std::uint64_t offset) {
  void* const page =
      ::mmap(nullptr, kPageBytes, PROT_READ, MAP_SHARED, descriptor, static_cast<off_t>(offset));
  if (page == MAP_FAILED) {
    return Answer::kNotSaid;
  }
  unsigned char resident = 0;
  const int done = ::mincore(page, kPageBytes, &resident);
  ::munmap(page, kPageBytes);
  if (done != 0) {
    return Answer::kNotSaid;
  }
  return (resident & 1U) != 0 ? Answer::kYes : Answer::kNo;
}

}  // namespace

bool looks_cached(int descriptor, base::Range range) {
  const std::uint64_t step = std::max(kStepBytes, range.size() / kMaxLooks);
  for (std::uint64_t offset = range.begin; offset < range.end; offset += step) {
    const std::uint64_t page = offset / kPageBytes * kPageBytes;
    Answer answer = ask_cachestat(descriptor, page);
    if (answer == Answer::kNotSaid) {
      answer = ask_mincore(descriptor, page);
    }
    if (answer != Answer::kYes) {
      return answer == Answer::kNotSaid;
    }
  }
  return true;
}

bool lies_far_away(int descriptor) {
  // f_type of statfs(2); most stand in no header.
  constexpr std::array<std::uint32_t, 15> kFarAway = {
      0x6969,      // NFS
      0x517B,      // SMB
      0xFE534D42,  // SMB2
      0xFF534D42,  // CIFS
      0x564C,      // NCP
      0x01021997,  // 9p
      0x00C36400,  // Ceph
      0x0BD00BD0,  // Lustre
      0x47504653,  // GPFS
      0x19830326,  // BeeGFS
      0x5346414F,  // AFS (OpenAFS)
      0x6B414653,  // AFS (kAFS)
      0x73757245,  // Coda
      0x65735546,  // FUSE, virtiofs
      0x7461636F,  // OCFS2
  };

  struct statfs status {};

  if (::fstatfs(descriptor, &status) != 0) {
    return false;
  }
  return std::ranges::find(kFarAway, static_cast<std::uint32_t>(status.f_type)) != kFarAway.end();
}

bool moves_times(int descriptor) {
  constexpr std::array<std::uint32_t, 3> kInMemory = {
      0x01021994,  // tmpfs
      0x858458F6,  // ramfs
      0x958458F6,  // hugetlbfs
  };

  struct statfs status {};

  if (::fstatfs(descriptor, &status) != 0 ||
      std::ranges::find(kInMemory, static_cast<std::uint32_t>(status.f_type)) != kInMemory.end()) {
    return false;
  }
  CachestatRange all;  // a length of 0 is the whole file
  Cachestat found;
  const bool said = ::syscall(kCachestat, descriptor, &all, &found, 0) == 0;
  return !said || (found.dirty == 0 && found.writeback == 0);
}

}  // namespace weighbridge::io
