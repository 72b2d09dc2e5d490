#include "sources/file_source.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sources/buffer_sink.h"
#include "testing/faulty_file_system.h"
#include "testing/scratch_directory.h"

namespace weighbridge::sources {
namespace {

using base::Code;
using base::Result;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Does something to the file once its first bytes have landed. Confined.
class MeddlingSink final : public base::BodySink {
 public:
  explicit MeddlingSink(std::function<void()> meddle) : meddle_(std::move(meddle)), bytes_(4096) {}

  std::span<std::byte> window() override { return bytes_; }

  Result<void> landed(std::size_t) override {
    if (meddle_) {
      std::exchange(meddle_, nullptr)();
    }
    return {};
  }

 private:
  std::function<void()> meddle_;
  std::vector<std::byte> bytes_;
};

// Some paths, known by their ends, are gone by the time they are looked at. Confined.
class VanishingFileSystem final : public io::FileSystem {
 public:
  VanishingFileSystem(io::FileSystem& below, std::vector<std::string> gone)
      : below_(below), gone_(std::move(gone)) {}

  Result<std::unique_ptr<io::OpenFile>> open(const std::string& path) override {
    return below_.open(path);
  }

  Result<std::unique_ptr<io::OpenFile>> create(const std::string& path) override {
    return below_.create(path);
  }

  Result<io::FileInfo> info(const std::string& path) override {
    TRY(still_there(path));
    return below_.info(path);
  }

  Result<std::vector<io::DirectoryEntry>> list(const std::string& path) override {
    TRY(still_there(path));
    return below_.list(path);
  }

  Result<void> rename(const std::string& from, const std::string& to) override {
    return below_.rename(from, to);
  }

  Result<void> remove(const std::string& path) override { return below_.remove(path); }

  Result<void> make_directory(const std::string& path) override {
    return below_.make_directory(path);
  }

  Result<void> sync_directory(const std::string& path) override {
    return below_.sync_directory(path);
  }

 private:
  Result<void> still_there(const std::string& path) const {
    for (const std::string& end : gone_) {
      if (path.ends_with(end)) {
        return base::Error(Code::kNotFound, "gone").in_file(path);
      }
    }
    return {};
  }

  io::FileSystem& below_;
  const std::vector<std::string> gone_;
};

// Root may read everything, so the tests step down where they run as root.
void as_nobody(const std::function<void()>& act) {
  constexpr uid_t kNobody = 65534;
  const uid_t user = ::geteuid();
  if (user == 0) {
    ASSERT_EQ(::seteuid(kNobody), 0);
  }
  act();
  ASSERT_EQ(::seteuid(user), 0);
}

class FileSourceTest : public ::testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) {
    const std::filesystem::path full(scratch_ / path);
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full, std::ios::binary | std::ios::trunc) << text;
  }

  void link(const std::string& target, const std::string& path) {
    std::filesystem::create_symlink(target, scratch_ / path);
  }

  Result<std::unique_ptr<Source>> open(const std::string& location) {
    return open_file_source(*files_, model::Ref::parse(location).value());
  }

  std::unique_ptr<Source> open() { return open(scratch_.path()).value(); }

  Listing list() { return open()->list(call_).value().value(); }

  std::vector<std::string> listed() {
    std::vector<std::string> paths;
    for (const model::File& file : list().files) {
      paths.push_back(file.path);
    }
    return paths;
  }

  // The one entry that is refused, and why.
  std::string refused(const std::string& path) {
    const Listing listing = list();
    EXPECT_EQ(listing.refused.size(), 1U);
    EXPECT_EQ(listing.refused.at(0).path, path);
    return listing.refused.at(0).reason;
  }

  Result<std::string> read(Source& source, const model::File& file, base::Range range) {
    BufferSink sink(1 << 20);
    TRY(source.read(call_, file, range, sink));
    const auto bytes = sink.take();
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  const testing::ScratchDirectory scratch_;
  const std::unique_ptr<io::FileSystem> files_ = io::real_file_system();
  const base::Call call_{base::system_clock()};
};

// --------------------------------------------------------------------------------------- listing

TEST_F(FileSourceTest, lists_every_file_hidden_ones_too_in_byte_order_of_paths) {
  for (const char* path : {"b", "a/z", "a.txt", "a/b/c", "B", ".hidden", ".config/x", "a-"}) {
    write(path, "x");
  }
  EXPECT_THAT(listed(),
              ElementsAre(".config/x", ".hidden", "B", "a-", "a.txt", "a/b/c", "a/z", "b"));
}

TEST_F(FileSourceTest, leaves_out_git_cache_our_own_and_the_roots_seal) {
  for (const char* path : {".git/config",
                           "a/.git/HEAD",
                           ".cache/x",
                           "a/.cache/x",
                           ".weighbridge/x",
                           ".weighbridge.tmp",
                           "a/.weighbridge-1",
                           "weighbridge.seal",
                           "kept",
                           "a/weighbridge.seal",
                           ".gitattributes"}) {
    write(path, "x");
  }
  EXPECT_THAT(listed(), ElementsAre(".gitattributes", "a/weighbridge.seal", "kept"));
  EXPECT_THAT(list().refused, IsEmpty());
}

TEST_F(FileSourceTest, a_link_to_a_file_is_a_file_with_what_it_leads_to) {
  write("blobs/1", "12345");
  link("blobs/1", "model.safetensors");
  const Listing listing = list();
  ASSERT_EQ(listing.files.size(), 2U);
  EXPECT_EQ(listing.files[1].path, "model.safetensors");
  EXPECT_EQ(listing.files[1].size, 5U);
  EXPECT_EQ(read(*open(), listing.files[1], {0, 5}).value(), "12345");
}

TEST_F(FileSourceTest, a_link_to_a_directory_is_refused_by_name) {
  link("/tmp", "elsewhere");
  EXPECT_THAT(refused("elsewhere"), HasSubstr("directory"));
}

TEST_F(FileSourceTest, a_link_that_leads_nowhere_is_refused_by_name) {
  link("gone", "dangling");
  EXPECT_THAT(refused("dangling"), HasSubstr("nowhere"));
}

TEST_F(FileSourceTest, a_fifo_is_refused_by_name_and_never_opened) {
  ASSERT_EQ(::mkfifo((scratch_ / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(refused("pipe"), HasSubstr("regular"));
}

TEST_F(FileSourceTest, a_link_to_a_device_is_refused_by_name) {
  link("/dev/null", "null");
  EXPECT_THAT(refused("null"), HasSubstr("regular"));
}

TEST_F(FileSourceTest, a_name_that_is_not_utf8_is_refused_by_name) {
  write("bad\xff", "x");
  EXPECT_THAT(refused("bad\xff"), HasSubstr("UTF-8"));
}

TEST_F(FileSourceTest, names_that_cannot_stand_in_a_snapshot_are_refused) {
  write("a\\b", "x");
  write("line\nbreak", "x");
  EXPECT_EQ(list().refused.size(), 2U);
  EXPECT_THAT(listed(), IsEmpty());
}

TEST_F(FileSourceTest, directories_nested_too_deep_are_refused) {
  std::string path;
  for (int i = 0; i < 70; ++i) {
    path += "d/";
  }
  write(path + "x", "x");
  EXPECT_EQ(list().refused.size(), 1U);
}

TEST_F(FileSourceTest, links_in_a_circle_end) {
  std::filesystem::create_directories(scratch_ / "a");
  link("..", "a/up");
  EXPECT_THAT(refused("a/up"), HasSubstr("directory"));
}

TEST_F(FileSourceTest, a_directory_that_may_not_be_read_is_refused_by_name_and_the_rest_is_listed) {
  write("a", "1");
  write("private/x", "2");
  write("z", "3");
  ASSERT_EQ(::chmod((scratch_ / "private").c_str(), 0), 0);
  ASSERT_EQ(::chmod(scratch_.path().c_str(), 0755), 0);
  Listing listing;
  as_nobody([&] { listing = list(); });
  ASSERT_EQ(::chmod((scratch_ / "private").c_str(), 0755), 0);
  ASSERT_EQ(listing.refused.size(), 1U);
  EXPECT_EQ(listing.refused[0].path, "private");
  EXPECT_THAT(listing.refused[0].reason, HasSubstr("may not be read"));
  ASSERT_EQ(listing.files.size(), 2U);
  EXPECT_EQ(listing.files[1].path, "z");
}

TEST_F(FileSourceTest, a_root_that_may_not_be_read_fails_the_listing) {
  write("private/x", "1");
  ASSERT_EQ(::chmod(scratch_.path().c_str(), 0755), 0);
  const auto source = open(scratch_ / "private").value();
  ASSERT_EQ(::chmod((scratch_ / "private").c_str(), 0), 0);
  as_nobody([&] { EXPECT_EQ(source->list(call_).error().code(), Code::kDenied); });
  ASSERT_EQ(::chmod((scratch_ / "private").c_str(), 0755), 0);
}

TEST_F(FileSourceTest, what_vanishes_while_it_is_listed_is_refused_by_name) {
  write("a/gone/x", "1");
  write("b", "2");
  write("c", "3");
  VanishingFileSystem vanishing(*files_, {"/a/gone", "/c"});
  const auto source =
      open_file_source(vanishing, model::Ref::parse(scratch_.path()).value()).value();
  const Listing listing = source->list(call_).value().value();
  ASSERT_EQ(listing.files.size(), 1U);
  EXPECT_EQ(listing.files[0].path, "b");
  ASSERT_EQ(listing.refused.size(), 2U);
  EXPECT_EQ(listing.refused[0].path, "a/gone");
  EXPECT_EQ(listing.refused[1].path, "c");
  EXPECT_THAT(listing.refused[1].reason, HasSubstr("vanished"));
}

TEST_F(FileSourceTest, lists_size_and_executable_bit) {
  write("plain", "123");
  write("tool", "12345");
  ASSERT_EQ(::chmod((scratch_ / "tool").c_str(), 0755), 0);
  const Listing listing = list();
  EXPECT_EQ(listing.files[0].size, 3U);
  EXPECT_FALSE(listing.files[0].executable);
  EXPECT_EQ(listing.files[1].size, 5U);
  EXPECT_TRUE(listing.files[1].executable);
}

TEST_F(FileSourceTest, an_empty_directory_lists_nothing) {
  EXPECT_THAT(listed(), IsEmpty());
}

TEST_F(FileSourceTest, a_disk_that_fails_at_any_call_fails_the_listing) {
  write("a/x", "1");
  write("b", "2");
  testing::FaultyFileSystem faulty(*files_);
  const auto source = open_file_source(faulty, model::Ref::parse(scratch_.path()).value()).value();
  const std::uint64_t opened = faulty.calls();
  ASSERT_TRUE(source->list(call_).ok());
  const std::uint64_t calls = faulty.calls() - opened;
  ASSERT_GE(calls, 4U);
  for (std::uint64_t call = 1; call <= calls; ++call) {
    faulty.fail_call(call, testing::FaultyFileSystem::Fault::kIo);
    const auto listing = source->list(call_);
    ASSERT_FALSE(listing.ok()) << call;
    EXPECT_EQ(listing.error().code(), Code::kIo);
    EXPECT_TRUE(listing.error().file().has_value());
  }
}

// ----------------------------------------------------------------------------------- what a Ref is

TEST_F(FileSourceTest, a_directory_has_no_single_file) {
  EXPECT_EQ(open()->single_file(call_).value(), "");
  EXPECT_EQ(open(scratch_.path() + "/").value()->single_file(call_).value(), "");
}

TEST_F(FileSourceTest, a_file_named_alone_is_found_beside_its_seal) {
  write("dir/m.safetensors", "12345");
  write("dir/weighbridge.seal", "seal");
  for (const std::string& location :
       {scratch_ / "dir/m.safetensors", "file://" + scratch_.path() + "/dir/m.safetensors"}) {
    const auto source = open(location).value();
    EXPECT_EQ(source->single_file(call_).value(), "m.safetensors");
    EXPECT_EQ(source->find(call_, "m.safetensors").value().size, 5U);
    EXPECT_EQ(source->seal(call_).value()->size(), 4U);
  }
}

TEST_F(FileSourceTest, a_bare_name_stands_in_the_working_directory) {
  const auto before = std::filesystem::current_path();
  write("m.safetensors", "12345");
  std::filesystem::current_path(scratch_.path());
  const auto source = open("m.safetensors").value();
  EXPECT_EQ(source->single_file(call_).value(), "m.safetensors");
  EXPECT_EQ(source->find(call_, "m.safetensors").value().size, 5U);
  EXPECT_EQ(source->printable("m.safetensors"), "./m.safetensors");
  std::filesystem::current_path(before);
}

TEST_F(FileSourceTest, what_is_not_there_is_not_found_by_name) {
  const auto source = open(scratch_ / "nothing");
  ASSERT_FALSE(source.ok());
  EXPECT_EQ(source.error().code(), Code::kNotFound);
  EXPECT_EQ(source.error().file(), scratch_ / "nothing");
  const auto file = open()->find(call_, "nothing");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().code(), Code::kNotFound);
}

TEST_F(FileSourceTest, a_mistyped_url_that_is_no_file_is_named_without_its_password) {
  const auto source = open("http:/me:s3cret@host/x");
  ASSERT_FALSE(source.ok());
  EXPECT_EQ(source.error().code(), Code::kNotFound);
  EXPECT_EQ(source.error().file(), "http:...@host/x");
  EXPECT_THAT(source.error().message(), ::testing::Not(HasSubstr("s3cret")));
}

TEST_F(FileSourceTest, a_fifo_or_a_directory_is_no_file_to_find) {
  ASSERT_EQ(::mkfifo((scratch_ / "pipe").c_str(), 0600), 0);
  std::filesystem::create_directories(scratch_ / "dir");
  EXPECT_EQ(open(scratch_ / "pipe").error().code(), Code::kInvalid);
  EXPECT_EQ(open()->find(call_, "dir").error().code(), Code::kInvalid);
}

TEST_F(FileSourceTest, no_seal_is_no_error_and_an_unreadable_one_is) {
  EXPECT_FALSE(open()->seal(call_).value().has_value());
  std::filesystem::create_directories(scratch_ / "weighbridge.seal");
  EXPECT_FALSE(open()->seal(call_).ok());
}

// --------------------------------------------------------------------------------------- reading

TEST_F(FileSourceTest, reads_exactly_the_range) {
  write("f", "0123456789");
  const auto source = open();
  const model::File file = source->find(call_, "f").value();
  EXPECT_EQ(read(*source, file, {0, 10}).value(), "0123456789");
  EXPECT_EQ(read(*source, file, {3, 7}).value(), "3456");
  EXPECT_EQ(read(*source, file, {5, 5}).value(), "");
}

TEST_F(FileSourceTest, short_reads_add_up) {
  write("f", "0123456789abcdefghij");
  testing::FaultyFileSystem faulty(*files_);
  faulty.give_short_reads();
  const auto source = open_file_source(faulty, model::Ref::parse(scratch_.path()).value()).value();
  const model::File file = source->find(call_, "f").value();
  EXPECT_EQ(read(*source, file, {0, 20}).value(), "0123456789abcdefghij");
}

TEST_F(FileSourceTest, a_disk_that_fails_at_any_call_fails_the_read_by_name) {
  write("f", "0123456789");
  testing::FaultyFileSystem faulty(*files_);
  const auto source = open_file_source(faulty, model::Ref::parse(scratch_.path()).value()).value();
  const model::File file = source->find(call_, "f").value();
  const std::uint64_t before = faulty.calls();
  ASSERT_TRUE(read(*source, file, {0, 10}).ok());
  const std::uint64_t calls = faulty.calls() - before;
  for (std::uint64_t call = 1; call <= calls; ++call) {
    faulty.fail_call(call, testing::FaultyFileSystem::Fault::kIo);
    const auto text = read(*source, file, {0, 10});
    ASSERT_FALSE(text.ok()) << call;
    EXPECT_EQ(text.error().code(), Code::kIo);
    EXPECT_THAT(text.error().file().value(), HasSubstr("/f"));
  }
}

TEST_F(FileSourceTest, a_file_that_is_truncated_while_it_is_read_is_a_conflict) {
  write("f", std::string(100'000, 'x'));
  const auto source = open();
  const model::File file = source->find(call_, "f").value();
  MeddlingSink sink([&] { std::filesystem::resize_file(scratch_ / "f", 5000); });
  const auto result = source->read(call_, file, {0, 100'000}, sink);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), Code::kConflict);
  EXPECT_THAT(result.error().file().value(), HasSubstr("/f"));
}

TEST_F(FileSourceTest, a_file_that_is_written_while_it_is_read_is_a_conflict) {
  write("f", std::string(100'000, 'x'));
  const auto source = open();
  const model::File file = source->find(call_, "f").value();
  MeddlingSink sink([&] {
    std::fstream out(scratch_ / "f", std::ios::in | std::ios::out | std::ios::binary);
    out << "y";
    out.close();
    // The kernel's clock may not have ticked since the file was made.
    const auto later = std::filesystem::last_write_time(scratch_ / "f") + std::chrono::seconds(1);
    std::filesystem::last_write_time(scratch_ / "f", later);
  });
  const auto result = source->read(call_, file, {0, 100'000}, sink);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), Code::kConflict);
}

TEST_F(FileSourceTest, a_file_replaced_since_it_was_found_is_a_conflict) {
  write("f", "0123456789");
  const auto source = open();
  const model::File file = source->find(call_, "f").value();
  write("new", "9876543210");
  std::filesystem::rename(scratch_ / "new", scratch_ / "f");
  EXPECT_EQ(read(*source, file, {0, 10}).error().code(), Code::kConflict);
}

TEST_F(FileSourceTest, a_sealed_file_of_another_size_is_corrupt) {
  write("f", "0123456789");
  const auto source = open();
  model::File sealed;  // a seal knows no inode
  sealed.path = "f";
  sealed.size = 11;
  const auto text = read(*source, sealed, {0, 11});
  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.error().code(), Code::kCorrupt);
  EXPECT_THAT(text.error().message(), HasSubstr("10"));
  EXPECT_THAT(text.error().message(), HasSubstr("11"));
}

TEST_F(FileSourceTest, says_which_file_of_this_machine_it_is) {
  write("f", "0123456789");
  const auto source = open();
  const LocalFile local = source->local(call_, "f").value().value();
  EXPECT_EQ(local.info.inode, files_->info(scratch_ / "f").value().inode);
  EXPECT_EQ(local.info.size, 10U);
  EXPECT_EQ(local.validator, source->find(call_, "f").value().validator);
  EXPECT_EQ(source->local(call_, "g").error().code(), Code::kNotFound);
}

TEST_F(FileSourceTest, tells_changes_of_the_file_that_is_meant_and_where_its_times_do) {
  write("f", "0123456789");
  testing::FaultyFileSystem disk(*files_);
  const auto source = open_file_source(disk, model::Ref::parse(scratch_.path()).value()).value();
  const LocalFile local = source->local(call_, "f").value().value();
  EXPECT_TRUE(source->tells_changes(call_, "f", local).value());
  disk.pretend({.tells_changes = false});
  EXPECT_FALSE(source->tells_changes(call_, "f", local).value());
  disk.pretend({});
  std::filesystem::rename(scratch_ / "f", scratch_ / "older");
  write("f", "0123456789");
  EXPECT_FALSE(source->tells_changes(call_, "f", local).value());
}

TEST_F(FileSourceTest, a_file_on_a_remote_file_system_is_not_one_of_this_machine) {
  write("f", "0123456789");
  testing::FaultyFileSystem faulty(*files_);
  faulty.pretend({.remote = true});
  const auto source = open_file_source(faulty, model::Ref::parse(scratch_.path()).value()).value();
  EXPECT_FALSE(source->local(call_, "f").value().has_value());
}

TEST_F(FileSourceTest, a_stopped_call_reads_nothing) {
  write("f", "0123456789");
  const auto source = open();
  const model::File file = source->find(call_, "f").value();
  std::stop_source stop;
  stop.request_stop();
  BufferSink sink(100);
  const auto result = source->read(call_.stopped_by(stop.get_token()), file, {0, 10}, sink);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), Code::kCancelled);
}

}  // namespace
}  // namespace weighbridge::sources
