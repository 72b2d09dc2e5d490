#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/file_system.h"
#include "testing/faulty_file_system.h"
#include "testing/scratch_directory.h"

namespace weighbridge::io {
namespace {

using base::Code;
using testing::FaultyFileSystem;
using Fault = FaultyFileSystem::Fault;
using Names = FaultyFileSystem::Names;

const std::string kOld = "what stood here before";
const std::string kNew(5000, 'n');

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// One file "target" on a disk of its own.
class Disk {
 public:
  base::Result<void> write(const std::string& text) {
    return write_file_atomically(faulty_, target_, bytes_of(text));
  }

  std::string target() {
    const auto bytes = read_file(*real_, target_, 1 << 20);
    if (!bytes.ok()) {
      return "absent";
    }
    return {reinterpret_cast<const char*>(bytes->data()), bytes->size()};
  }

  std::size_t names() { return real_->list(scratch_.path()).value().size(); }

  // The one name beside the target.
  std::string other_name() {
    for (const DirectoryEntry& entry : real_->list(scratch_.path()).value()) {
      if (entry.name != "target") {
        return entry.name;
      }
    }
    return "absent";
  }

  FaultyFileSystem& faulty() { return faulty_; }

  const std::string& path() const { return target_; }

 private:
  const testing::ScratchDirectory scratch_;
  const std::unique_ptr<FileSystem> real_ = real_file_system();
  FaultyFileSystem faulty_{*real_};
  const std::string target_ = scratch_ / "target";
};

std::uint64_t calls_of_a_write() {
  Disk disk;
  EXPECT_TRUE(disk.write(kOld).ok());
  const std::uint64_t before = disk.faulty().calls();
  EXPECT_TRUE(disk.write(kNew).ok());
  return disk.faulty().calls() - before;
}

class AtomicWrite : public ::testing::TestWithParam<Fault> {};

TEST_P(AtomicWrite, AnyFailingCallLeavesOldOrNewAndNoTemporary) {
  const std::uint64_t calls = calls_of_a_write();
  ASSERT_GE(calls, 5U);  // create, write, sync, rename, sync of the directory
  for (std::uint64_t nth = 1; nth <= calls; ++nth) {
    Disk disk;
    ASSERT_TRUE(disk.write(kOld).ok());
    disk.faulty().fail_call(nth, GetParam());
    const auto done = disk.write(kNew);
    ASSERT_FALSE(done.ok()) << "call " << nth << " is not heeded";
    const Code expected = GetParam() == Fault::kExhausted ? Code::kExhausted : Code::kIo;
    EXPECT_EQ(done.error().code(), expected);
    EXPECT_THAT(disk.target(), ::testing::AnyOf(kOld, kNew)) << "call " << nth;
    EXPECT_EQ(disk.names(), 1U) << "call " << nth;
  }
}

INSTANTIATE_TEST_SUITE_P(Faults,
                         AtomicWrite,
                         ::testing::Values(Fault::kIo, Fault::kExhausted, Fault::kTornWrite));

class AtomicWritePower : public ::testing::TestWithParam<Names> {};

TEST_P(AtomicWritePower, LostAtAnyCallLeavesOldOrNew) {
  const std::uint64_t calls = calls_of_a_write();
  for (std::uint64_t nth = 1; nth <= calls; ++nth) {
    Disk disk;
    ASSERT_TRUE(disk.write(kOld).ok());
    disk.faulty().fail_call(nth, Fault::kPowerLoss);
    ASSERT_FALSE(disk.write(kNew).ok());
    disk.faulty().lose_power(GetParam());
    EXPECT_THAT(disk.target(), ::testing::AnyOf(kOld, kNew)) << "call " << nth;
  }
}

TEST_P(AtomicWritePower, LostAfterTheAcknowledgementLeavesTheNew) {
  Disk disk;
  ASSERT_TRUE(disk.write(kOld).ok());
  ASSERT_TRUE(disk.write(kNew).ok());
  disk.faulty().lose_power(GetParam());
  EXPECT_EQ(disk.target(), kNew);
  EXPECT_EQ(disk.names(), 1U);
}

INSTANTIATE_TEST_SUITE_P(Names,
                         AtomicWritePower,
                         ::testing::Values(Names::kForgotten, Names::kKept));

TEST(AtomicWrites, ACrashLeavesNothingButAHiddenTemporaryWithTheNameOfTheFile) {
  Disk disk;
  ASSERT_TRUE(disk.write(kOld).ok());
  disk.faulty().fail_call(3, Fault::kPowerLoss);  // the sync: the temporary is there and no more
  ASSERT_FALSE(disk.write(kNew).ok());
  EXPECT_EQ(disk.names(), 2U);
  EXPECT_THAT(disk.other_name(),
              ::testing::MatchesRegex("\\.weighbridge-tmp-target-[0-9]+-[0-9]+"));
  EXPECT_EQ(disk.target(), kOld);
}

TEST(AtomicWrites, ByManyThreadsLeaveOneOfTheirTexts) {
  Disk disk;
  {
    std::vector<std::jthread> threads;
    for (char letter = 'a'; letter < 'e'; ++letter) {
      threads.emplace_back(
          [&disk, letter] { EXPECT_TRUE(disk.write(std::string(1000, letter)).ok()); });
    }
  }
  EXPECT_EQ(disk.target(), std::string(1000, disk.target()[0]));
  EXPECT_EQ(disk.names(), 1U);
}

TEST(ReadFile, GivesTheWholeFileHoweverShortTheReads) {
  Disk disk;
  for (const std::string& text : {std::string(), kOld, kNew}) {
    ASSERT_TRUE(disk.write(text).ok());
    const auto whole = read_file(disk.faulty(), disk.path(), text.size());
    ASSERT_TRUE(whole.ok());
    EXPECT_TRUE(std::ranges::equal(whole.value(), bytes_of(text)));
    disk.faulty().give_short_reads();
  }
}

TEST(ReadFile, AFileAboveTheLimitIsExhausted) {
  Disk disk;
  ASSERT_TRUE(disk.write(kOld).ok());
  const auto read = read_file(disk.faulty(), disk.path(), kOld.size() - 1);
  EXPECT_EQ(read.error().code(), Code::kExhausted);
  EXPECT_EQ(read.error().file(), disk.path());
}

TEST(ReadFile, AFileWithoutASizeIsReadToItsEndOrItsLimit) {
  const auto files = real_file_system();
  EXPECT_GT(read_file(*files, "/proc/self/status", 1 << 20).value().size(), 10U);
  EXPECT_EQ(read_file(*files, "/proc/self/status", 10).error().code(), Code::kExhausted);
}

TEST(ReadFile, EveryFailingCallIsHeeded) {
  Disk disk;
  ASSERT_TRUE(disk.write(kOld).ok());
  const std::uint64_t before = disk.faulty().calls();
  ASSERT_TRUE(read_file(disk.faulty(), disk.path(), 100).ok());
  const std::uint64_t calls = disk.faulty().calls() - before;
  for (std::uint64_t nth = 1; nth <= calls; ++nth) {
    disk.faulty().fail_call(nth, Fault::kIo);
    EXPECT_EQ(read_file(disk.faulty(), disk.path(), 100).error().code(), Code::kIo);
  }
}

}  // namespace
}  // namespace weighbridge::io
