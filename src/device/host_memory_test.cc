#include "device/host_memory.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <thread>
#include <vector>

#include <sys/mman.h>

#include <gtest/gtest.h>

#include "base/units.h"

namespace weighbridge::device {
namespace {

using base::Code;
using base::kMiB;

constexpr std::uint64_t kPage = 4096;

std::uint64_t resident_bytes(std::span<const std::byte> memory) {
  std::vector<unsigned char> pages(memory.size() / kPage);
  // mincore() asks for a plain pointer and changes nothing.
  void* const address = const_cast<std::byte*>(memory.data());  // NOLINT
  EXPECT_EQ(::mincore(address, memory.size(), pages.data()), 0);
  return kPage * static_cast<std::uint64_t>(std::count_if(
                     pages.begin(), pages.end(), [](unsigned char page) { return page & 1U; }));
}

void touch(std::span<std::byte> memory) {
  std::memset(memory.data(), 0x5A, memory.size());
}

TEST(HostMemory, stands_on_a_2_MiB_boundary_and_holds_what_was_asked_for) {
  HostPool pool(0);
  for (const std::uint64_t bytes : {std::uint64_t{1}, kPage, 2 * kMiB, 2 * kMiB + 1, 7 * kMiB}) {
    const auto range = pool.reserve(bytes).value();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(range->bytes().data()) % kHugePageBytes, 0U);
    EXPECT_GE(range->bytes().size(), bytes);
  }
}

TEST(HostMemory, costs_nothing_until_it_is_touched) {
  HostPool pool(0);
  const auto range = pool.reserve(64 * kMiB).value();
  EXPECT_EQ(resident_bytes(range->bytes()), 0U);
  touch(range->bytes().first(4 * kPage));
  EXPECT_GE(resident_bytes(range->bytes()), 4 * kPage);
  EXPECT_LE(resident_bytes(range->bytes()), kHugePageBytes);
}

TEST(HostMemory, more_than_the_address_space_is_exhausted) {
  HostPool pool(0);
  const auto range = pool.reserve(std::uint64_t{1} << 60U);
  ASSERT_FALSE(range.ok());
  EXPECT_EQ(range.error().code(), Code::kExhausted);
}

TEST(HostMemory, a_size_no_sum_can_hold_is_exhausted) {
  HostPool pool(0);
  for (const std::uint64_t less : {std::uint64_t{0}, kHugePageBytes, 2 * kHugePageBytes}) {
    const auto range = pool.reserve(std::numeric_limits<std::uint64_t>::max() - less);
    ASSERT_FALSE(range.ok());
    EXPECT_EQ(range.error().code(), Code::kExhausted);
  }
}

TEST(HostMemory, what_is_given_back_leaves_memory_and_the_rest_stays) {
  HostPool pool(0);
  const auto range = pool.reserve(8 * kMiB).value();
  touch(range->bytes());
  range->give_back({2 * kMiB, 6 * kMiB});
  EXPECT_EQ(resident_bytes(range->bytes().subspan(2 * kMiB, 4 * kMiB)), 0U);
  EXPECT_EQ(range->bytes()[2 * kMiB - 1], std::byte{0x5A});
  EXPECT_EQ(range->bytes()[6 * kMiB], std::byte{0x5A});
}

TEST(HostMemory, a_page_that_is_given_back_in_part_stays) {
  HostPool pool(0);
  const auto range = pool.reserve(2 * kMiB).value();
  touch(range->bytes());
  range->give_back({100, kPage + 100});
  EXPECT_EQ(range->bytes()[99], std::byte{0x5A});
  EXPECT_EQ(range->bytes()[100], std::byte{0x5A});
  EXPECT_EQ(range->bytes()[kPage + 100], std::byte{0x5A});
}

TEST(HostMemory, huge_pages_are_advice_and_change_no_byte) {
  HostPool pool(0);
  const auto range = pool.reserve(6 * kMiB).value();
  range->use_huge_pages({kMiB, 100 * kMiB});  // past its end
  range->use_huge_pages({0, 100});            // less than a page
  touch(range->bytes());
  EXPECT_EQ(range->bytes().back(), std::byte{0x5A});
}

TEST(HostPool, keeps_a_range_resident_for_the_next_one) {
  HostPool pool(16 * kMiB);
  auto range = pool.reserve(8 * kMiB).value();
  touch(range->bytes());
  range->give_back({0, 8 * kMiB});  // the pool may keep it
  const std::byte* const address = range->bytes().data();
  range.reset();
  const auto again = pool.reserve(7 * kMiB).value();
  EXPECT_EQ(again->bytes().data(), address);
  EXPECT_EQ(resident_bytes(again->bytes()), 8 * kMiB);
}

TEST(HostPool, keeps_no_more_than_it_was_told) {
  HostPool pool(16 * kMiB);
  std::vector<std::unique_ptr<HostRange>> ranges;
  for (int i = 0; i < 4; ++i) {
    ranges.push_back(pool.reserve(8 * kMiB).value());
    touch(ranges.back()->bytes());
  }
  ranges.clear();
  std::uint64_t kept = 0;
  for (int i = 0; i < 4; ++i) {
    ranges.push_back(pool.reserve(8 * kMiB).value());
    kept += resident_bytes(ranges.back()->bytes());
  }
  EXPECT_EQ(kept, 16 * kMiB);
}

TEST(HostPool, a_small_range_does_not_sit_on_a_large_one) {
  HostPool pool(64 * kMiB);
  auto large = pool.reserve(64 * kMiB).value();
  const std::byte* const address = large->bytes().data();
  large.reset();
  const auto small = pool.reserve(2 * kMiB).value();
  EXPECT_NE(small->bytes().data(), address);
}

TEST(HostPool, gives_no_range_to_two_threads_at_once) {
  HostPool pool(8 * kMiB);
  std::atomic<int> spoiled = 0;
  const auto work = [&](std::byte mark) {
    for (int i = 0; i < 200; ++i) {
      const auto range = pool.reserve(2 * kMiB).value();
      const std::span<std::byte> bytes = range->bytes().first(kPage);
      std::fill(bytes.begin(), bytes.end(), mark);
      spoiled += static_cast<int>(bytes.size()) -
                 static_cast<int>(std::count(bytes.begin(), bytes.end(), mark));
      range->give_back({0, kPage});
    }
  };
  {
    const std::jthread one(work, std::byte{1});
    const std::jthread two(work, std::byte{2});
  }
  EXPECT_EQ(spoiled, 0);
}

}  // namespace
}  // namespace weighbridge::device
