#include "io/file_system.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/scratch_directory.h"

namespace weighbridge::io {
namespace {

using base::Code;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class FileSystemTest : public ::testing::Test {
 protected:
  void write(const std::string& path, std::string_view text) {
    ASSERT_TRUE(files_->create(path).value()->write_at(0, bytes_of(text)).ok());
  }

  std::string read(const std::string& path) {
    return text_of(read_file(*files_, path, 1 << 20).value());
  }

  const testing::ScratchDirectory scratch_;
  const std::unique_ptr<FileSystem> files_ = real_file_system();
  const std::string path_ = scratch_ / "file";
};

TEST_F(FileSystemTest, ReadsWhatWasWrittenWhereItWasWritten) {
  const auto file = files_->create(path_).value();
  ASSERT_TRUE(file->write_at(4, bytes_of("tail")).ok());
  ASSERT_TRUE(file->write_at(0, bytes_of("head")).ok());
  ASSERT_TRUE(file->sync().ok());
  std::vector<std::byte> bytes(6);
  EXPECT_EQ(file->read_at(2, bytes).value(), 6U);
  EXPECT_EQ(text_of(bytes), "adtail");
  EXPECT_EQ(file->read_at(6, bytes).value(), 2U);
  EXPECT_EQ(file->read_at(8, bytes).value(), 0U);
  EXPECT_EQ(file->info().value().size, 8U);
}

TEST_F(FileSystemTest, SaysWhatAPathIs) {
  write(path_, "12345");
  ASSERT_EQ(::chmod(path_.c_str(), 0755), 0);
  const FileInfo info = files_->info(path_).value();
  EXPECT_EQ(info.kind, Kind::kFile);
  EXPECT_EQ(info.size, 5U);
  EXPECT_TRUE(info.executable);
  EXPECT_GT(info.mtime_ns, 0);
  EXPECT_EQ(info.inode, files_->open(path_).value()->info().value().inode);
  EXPECT_EQ(files_->info(scratch_.path()).value().kind, Kind::kDirectory);
}

TEST_F(FileSystemTest, ListsEntriesByTheirOwnKind) {
  write(path_, "");
  ASSERT_TRUE(files_->make_directory(scratch_ / "directory").ok());
  std::filesystem::create_symlink("file", scratch_ / "link");
  ASSERT_EQ(::mkfifo((scratch_ / "pipe").c_str(), 0600), 0);
  std::vector<std::pair<std::string, Kind>> found;
  for (const DirectoryEntry& entry : files_->list(scratch_.path()).value()) {
    found.emplace_back(entry.name, entry.kind);
  }
  EXPECT_THAT(found,
              UnorderedElementsAre(std::pair("file", Kind::kFile),
                                   std::pair("directory", Kind::kDirectory),
                                   std::pair("link", Kind::kLink),
                                   std::pair("pipe", Kind::kOther)));
  EXPECT_EQ(files_->info(scratch_ / "link").value().kind, Kind::kFile);
}

TEST_F(FileSystemTest, ReadsDirectlyTheBytesOfTheFileOrSaysThatItCannot) {
  write(path_, std::string(kDirectAlignment, 'a') + "the end");
  const auto file = files_->open(path_).value();

  struct alignas(kDirectAlignment) Page {
    std::array<std::byte, 2 * kDirectAlignment> bytes;
  };

  const auto page = std::make_unique<Page>();
  const auto got = file->read_direct_at(kDirectAlignment, page->bytes);
  if (!got.ok()) {
    EXPECT_EQ(got.error().code(), Code::kUnsupported);
    return;
  }
  EXPECT_EQ(text_of(std::span(page->bytes).first(*got)), "the end");
}

TEST_F(FileSystemTest, WhereDirectReadsAreImpossibleItSaysSoAndReadsNothing) {
  const auto file = files_->open("/proc/self/status").value();
  std::vector<std::byte> bytes(1);
  EXPECT_EQ(file->read_direct_at(0, bytes).error().code(), Code::kUnsupported);
}

TEST_F(FileSystemTest, SaysWhatStandsInThePageCache) {
  const int descriptor = ::open(path_.c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(::ftruncate(descriptor, 8 << 20), 0);
  const auto file = files_->open(path_).value();
  std::vector<std::byte> bytes(8 << 20);
  ASSERT_EQ(file->read_at(0, bytes).value(), bytes.size());
  EXPECT_TRUE(file->is_cached({0, bytes.size()}));
  EXPECT_TRUE(file->is_cached({5, 6}));
  EXPECT_FALSE(file->is_remote());

  struct statfs status {};

  ASSERT_EQ(::fstatfs(descriptor, &status), 0);
  constexpr std::int64_t kTmpfs = 0x01021994;  // has no disk behind it
  ASSERT_EQ(::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED), 0);
  EXPECT_EQ(file->is_cached({0, bytes.size()}), status.f_type == kTmpfs);
  ::close(descriptor);
}

TEST_F(FileSystemTest, OpeningANamedPipeDoesNotBlock) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(files_->open(path_).value()->info().value().kind, Kind::kOther);
}

TEST_F(FileSystemTest, RenameReplacesAndRemoveRemoves) {
  write(path_, "new");
  write(scratch_ / "old", "old");
  ASSERT_TRUE(files_->rename(path_, scratch_ / "old").ok());
  EXPECT_EQ(read(scratch_ / "old"), "new");
  ASSERT_TRUE(files_->remove(scratch_ / "old").ok());
  ASSERT_TRUE(files_->sync_directory(scratch_.path()).ok());
  EXPECT_TRUE(files_->list(scratch_.path()).value().empty());
}

TEST_F(FileSystemTest, ErrorsNameThePathAndSayWhatKindTheyAre) {
  write(path_, "");
  const std::string absent = scratch_ / "absent";
  EXPECT_EQ(files_->open(absent).error().code(), Code::kNotFound);
  EXPECT_EQ(files_->info(absent).error().file(), absent);
  EXPECT_THAT(files_->list(absent).error().message(), HasSubstr(absent));
  EXPECT_EQ(files_->remove(absent).error().code(), Code::kNotFound);
  EXPECT_EQ(files_->sync_directory(absent).error().code(), Code::kNotFound);
  EXPECT_EQ(files_->rename(absent, path_).error().code(), Code::kNotFound);
  EXPECT_EQ(files_->info(path_ + "/below").error().code(), Code::kNotFound);
  EXPECT_EQ(files_->create(path_).error().code(), Code::kExists);
  EXPECT_EQ(files_->make_directory(scratch_.path()).error().code(), Code::kExists);
}

TEST_F(FileSystemTest, AFileThatMayNotBeReadIsDenied) {
  write(path_, "");
  ASSERT_EQ(::chmod(path_.c_str(), 0), 0);
  constexpr uid_t kNobody = 65534;
  const uid_t user = ::geteuid();
  if (user == 0) {
    ASSERT_EQ(::seteuid(kNobody), 0);  // root may read everything
  }
  const auto opened = files_->open(path_);
  ASSERT_EQ(::seteuid(user), 0);
  EXPECT_EQ(opened.error().code(), Code::kDenied);
}

TEST_F(FileSystemTest, OffsetsBeyondWhatTheKernelCountsAreInvalid) {
  const auto file = files_->create(path_).value();
  std::vector<std::byte> bytes(16);
  const std::uint64_t far = std::uint64_t{1} << 63;
  EXPECT_EQ(file->read_at(far, bytes).error().code(), Code::kInvalid);
  EXPECT_EQ(file->write_at(far - 8, bytes).error().code(), Code::kInvalid);
}

TEST_F(FileSystemTest, ThreadsReadAndWriteOneFileAtOnce) {
  const auto file = files_->create(path_).value();
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] {
        for (std::uint64_t at = i; at < 400; at += 4) {
          const std::string text(1, static_cast<char>('a' + i));
          EXPECT_TRUE(file->write_at(at, bytes_of(text)).ok());
          std::vector<std::byte> back(1);
          EXPECT_EQ(file->read_at(at, back).value(), 1U);
          EXPECT_EQ(text_of(back), text);
        }
      });
    }
  }
  EXPECT_EQ(read(path_).substr(0, 8), "abcdabcd");
}

TEST_F(FileSystemTest, ReservedSpaceIsTakenAndReadsAsZeros) {
  const auto file = files_->create(path_).value();
  ASSERT_TRUE(file->reserve(1 << 20).ok());
  const FileInfo info = file->info().value();
  EXPECT_EQ(info.size, 1U << 20);
  EXPECT_GE(info.disk_bytes, 1U << 20);
  EXPECT_EQ(read(path_), std::string(1 << 20, '\0'));
  EXPECT_TRUE(file->reserve(0).ok());
}

TEST_F(FileSystemTest, MoreSpaceThanThereIsIsExhausted) {
  const auto file = files_->create(path_).value();
  const std::uint64_t too_much = files_->volume(path_)->total_bytes * 2;
  const Code code = file->reserve(too_much).error().code();
  // Larger than a file may be there, where the disk is large.
  EXPECT_TRUE(code == Code::kExhausted || code == Code::kIo);
}

TEST_F(FileSystemTest, AFileHasAsManyNamesAsItWasGiven) {
  write(path_, "text");
  ASSERT_TRUE(files_->link(path_, scratch_ / "other").ok());
  EXPECT_EQ(read(scratch_ / "other"), "text");
  EXPECT_EQ(files_->info(path_)->links, 2U);
  EXPECT_EQ(files_->link(path_, scratch_ / "other").error().code(), Code::kExists);
  EXPECT_EQ(files_->link(scratch_ / "none", scratch_ / "new").error().code(), Code::kNotFound);
}

TEST_F(FileSystemTest, AModeAndATimeOfUseAreKept) {
  const auto file = files_->create(path_).value();
  ASSERT_TRUE(file->set_mode(0444).ok());
  constexpr std::int64_t kUsed = 1'700'000'000'000'000'001;
  const std::int64_t changed = file->info()->mtime_ns;
  ASSERT_TRUE(file->set_used(kUsed).ok());
  EXPECT_EQ(file->info()->mode, 0444U);
  EXPECT_EQ(file->info()->atime_ns, kUsed);
  EXPECT_EQ(file->info()->mtime_ns, changed);
}

TEST_F(FileSystemTest, ALockHoldsUntilItsFileIsClosed) {
  write(path_, "");
  ASSERT_EQ(::chmod(path_.c_str(), 0444), 0);
  auto reader = files_->open(path_).value();
  const auto other_reader = files_->open(path_).value();
  const auto evictor = files_->open(path_).value();
  EXPECT_TRUE(reader->try_lock(Lock::kShared).value());
  EXPECT_TRUE(other_reader->try_lock(Lock::kShared).value());
  EXPECT_FALSE(evictor->try_lock(Lock::kExclusive).value());
  EXPECT_FALSE(reader->try_lock(Lock::kExclusive).value());
  reader.reset();
  EXPECT_TRUE(other_reader->try_lock(Lock::kExclusive).value());
  EXPECT_TRUE(other_reader->try_lock(Lock::kShared).value());
}

TEST_F(FileSystemTest, WritesPastThePageCacheAreSeenByReaders) {
  write(path_, "");
  const auto direct = files_->open_to_write(path_, Caching::kBypass);
  if (!direct.ok()) {
    EXPECT_EQ(direct.error().code(), Code::kUnsupported);
    return;
  }
  constexpr std::size_t kBytes = 2 * kDirectBytes;
  const std::unique_ptr<std::byte[], void (*)(void*)> memory(
      static_cast<std::byte*>(std::aligned_alloc(kDirectBytes, kBytes)), std::free);
  const std::span bytes(memory.get(), kBytes);
  std::ranges::fill(bytes, std::byte{7});
  ASSERT_TRUE((*direct)->write_at(0, bytes).ok());
  EXPECT_EQ(read(path_), std::string(kBytes, '\7'));
}

TEST_F(FileSystemTest, OpensToWriteOnlyWhatIsThere) {
  EXPECT_EQ(files_->open_to_write(path_, Caching::kKeep).error().code(), Code::kNotFound);
  write(path_, "text");
  const auto file = files_->open_to_write(path_, Caching::kKeep).value();
  ASSERT_TRUE(file->write_at(0, bytes_of("n")).ok());
  EXPECT_EQ(read(path_), "next");
}

TEST_F(FileSystemTest, BytesAreSharedBetweenFilesOrTheRequestIsUnsupported) {
  write(path_, std::string(8192, 'a'));
  const auto from = files_->open(path_).value();
  const auto to = files_->create(scratch_ / "to").value();
  const auto cloned = to->clone_range(*from, {0, 8192}, 0);
  if (cloned.ok()) {
    EXPECT_EQ(read(scratch_ / "to"), read(path_));
  } else {
    EXPECT_EQ(cloned.error().code(), Code::kUnsupported);
  }
}

TEST_F(FileSystemTest, SaysWhatAVolumeHasAndSyncsIt) {
  const Volume volume = files_->volume(scratch_.path()).value();
  EXPECT_GT(volume.total_bytes, volume.free_bytes);
  EXPECT_FALSE(volume.kind.empty());
  EXPECT_TRUE(files_->sync_volume(scratch_.path()).ok());
  EXPECT_EQ(files_->volume(scratch_ / "none").error().code(), Code::kNotFound);
}

// Where there is no tmpfs at /dev/shm this cannot be told apart.
TEST(TellsChanges, NotOfAFileThatLivesInMemory) {
  struct statfs status {};

  if (::statfs("/dev/shm", &status) != 0 || status.f_type != TMPFS_MAGIC) {
    GTEST_SKIP() << "no tmpfs at /dev/shm";
  }
  const std::string path = fmt::format("/dev/shm/weighbridge-test-{}", ::getpid());
  const auto files = real_file_system();
  const auto file = files->create(path).value();
  EXPECT_FALSE(file->tells_changes());
  EXPECT_TRUE(files->remove(path).ok());
}

// Runs on a disk and on Linux 6.5 or later, as where CI runs; elsewhere nothing can be seen of it.
TEST(TellsChanges, NotWhileItWaitsToBeWrittenBack) {
  constexpr long kCachestat = 451;
  constexpr int kTries = 20;  // others may sync the whole disk between two calls
  const testing::ScratchDirectory scratch;

  struct statfs status {};

  ASSERT_EQ(::statfs(scratch.path().c_str(), &status), 0);
  if (status.f_type == TMPFS_MAGIC) {
    GTEST_SKIP() << "temporary files live in memory here";
  }
  if (::syscall(kCachestat, -1, nullptr, nullptr, 0) != 0 && errno == ENOSYS) {
    GTEST_SKIP() << "this kernel does not say which pages wait";
  }
  const auto files = real_file_system();
  const auto file = files->create(scratch / "f").value();
  const std::vector<std::byte> bytes(100'000, std::byte{7});
  bool told_while_dirty = true;
  for (int i = 0; i < kTries && told_while_dirty; ++i) {
    ASSERT_TRUE(file->write_at(0, bytes).ok());
    told_while_dirty = file->tells_changes();
  }
  EXPECT_FALSE(told_while_dirty);
  ASSERT_TRUE(file->sync().ok());
  EXPECT_TRUE(file->tells_changes());
}

}  // namespace
}  // namespace weighbridge::io
