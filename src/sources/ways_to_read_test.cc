#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sources/file_source.h"
#include "testing/faulty_file_system.h"
#include "testing/scratch_directory.h"

// How a local file is read, by where it stands.
namespace weighbridge::sources {
namespace {

using base::Code;
using base::Result;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Takes a body at a place with the phase of its file, as tensors stand. Confined.
class AlignedSink final : public base::BodySink {
 public:
  // Windows of at most `window_bytes`.
  explicit AlignedSink(std::size_t bytes, std::size_t window_bytes = ~std::size_t{0})
      : bytes_(bytes),
        window_bytes_(window_bytes),
        memory_(static_cast<std::byte*>(std::aligned_alloc(
            io::kDirectAlignment, (bytes / io::kDirectAlignment + 1) * io::kDirectAlignment))) {}

  std::span<std::byte> window() override {
    return std::span(memory_.get() + filled_, std::min(bytes_ - filled_, window_bytes_));
  }

  Result<void> landed(std::size_t bytes) override {
    filled_ += bytes;
    steps_.push_back(bytes);
    return {};
  }

  std::string text() const { return {reinterpret_cast<const char*>(memory_.get()), filled_}; }

  const std::vector<std::size_t>& steps() const { return steps_; }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };

  const std::size_t bytes_;
  const std::size_t window_bytes_;
  const std::unique_ptr<std::byte, Free> memory_;
  std::size_t filled_ = 0;
  std::vector<std::size_t> steps_;
};

// Bytes that repeat nowhere near.
std::string numbered(std::size_t bytes) {
  std::string text;
  for (int i = 0; text.size() < bytes; ++i) {
    text += std::to_string(i) + " ";
  }
  text.resize(bytes);
  return text;
}

class WaysToReadTest : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) {
    std::ofstream(scratch_ / name, std::ios::binary) << text;
  }

  std::unique_ptr<Source> open() {
    return open_file_source(*files_, model::Ref::parse(scratch_.path()).value()).value();
  }

  // Reads `range` of the file as `pretence` has it lie.
  void read(testing::FaultyFileSystem::Pretence pretence, base::Range range, AlignedSink& sink) {
    faulty_.pretend(pretence);
    const auto source =
        open_file_source(faulty_, model::Ref::parse(scratch_.path()).value()).value();
    const auto done = source->read(call_, source->find(call_, "f").value(), range, sink);
    EXPECT_TRUE(done.ok());
    reads_ = source->local_reads().value();
  }

  const testing::ScratchDirectory scratch_;
  const std::unique_ptr<io::FileSystem> files_ = io::real_file_system();
  const base::Call call_{base::system_clock()};
  testing::FaultyFileSystem faulty_{*files_};
  LocalReads reads_;
};

TEST_F(WaysToReadTest, what_is_cached_is_copied_in_steps_that_a_cpu_cache_holds) {
  const std::string text = numbered(1'000'000);
  write("f", text);
  AlignedSink sink(text.size());
  read({.cached = true, .direct_reads = true}, {0, text.size()}, sink);
  EXPECT_EQ(sink.text(), text);
  EXPECT_EQ(faulty_.direct_calls(), 0U);
  EXPECT_THAT(sink.steps(), ElementsAre(262144, 262144, 262144, 213568));
  EXPECT_EQ(reads_.cached_bytes, text.size());
}

TEST_F(WaysToReadTest, what_is_not_cached_is_read_directly_but_for_the_files_end) {
  const std::string text = numbered(1'000'000);
  write("f", text);
  AlignedSink sink(text.size());
  read({.cached = false, .direct_reads = true}, {0, text.size()}, sink);
  EXPECT_EQ(sink.text(), text);
  EXPECT_EQ(faulty_.direct_calls(), 1U);
  EXPECT_THAT(sink.steps(), ElementsAre(999424, 576));
  EXPECT_EQ(reads_.direct_bytes, 999424U);
  EXPECT_EQ(reads_.buffered_bytes, 576U);
}

TEST_F(WaysToReadTest, a_direct_read_that_comes_short_goes_on_where_it_ended) {
  const std::string text = numbered(100'000);
  write("f", text);
  faulty_.give_short_reads();
  AlignedSink sink(text.size() - 4096);
  read({.cached = false, .direct_reads = true}, {4096, text.size()}, sink);
  EXPECT_EQ(sink.text(), text.substr(4096));
}

TEST_F(WaysToReadTest, a_range_that_is_out_of_phase_is_read_through_the_cache) {
  const std::string text = numbered(100'000);
  write("f", text);
  AlignedSink sink(50'000);
  read({.cached = false, .direct_reads = true}, {100, 50'100}, sink);
  EXPECT_EQ(sink.text(), text.substr(100, 50'000));
  EXPECT_EQ(faulty_.direct_calls(), 0U);
}

TEST_F(WaysToReadTest, a_file_system_without_direct_reads_is_read_all_the_same) {
  const std::string text = numbered(1'000'000);
  write("f", text);
  AlignedSink sink(text.size());
  read({.cached = false, .direct_reads = false}, {0, text.size()}, sink);
  EXPECT_EQ(sink.text(), text);
  EXPECT_EQ(reads_.buffered_bytes, text.size());
}

TEST_F(WaysToReadTest, a_remote_file_system_gets_large_reads_and_no_direct_ones) {
  const std::string text = numbered(1'000'000);
  write("f", text);
  AlignedSink sink(text.size());
  read({.cached = false, .remote = true, .direct_reads = true}, {0, text.size()}, sink);
  EXPECT_EQ(sink.text(), text);
  EXPECT_THAT(sink.steps(), ElementsAre(text.size()));
  EXPECT_EQ(faulty_.direct_calls(), 0U);
  EXPECT_EQ(reads_.far_bytes, text.size());
}

TEST_F(WaysToReadTest, the_real_disk_gives_the_same_bytes_whether_cached_or_not) {
  const std::string text = numbered(3'000'001);
  write("f", text);
  const int descriptor = ::open((scratch_ / "f").c_str(), O_RDONLY);
  for (const bool drop : {false, true}) {
    if (drop) {
      ASSERT_EQ(::fsync(descriptor), 0);
      ASSERT_EQ(::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED), 0);
    }
    AlignedSink sink(text.size(), 1 << 20);
    const auto source = open();
    ASSERT_TRUE(source->read(call_, source->find(call_, "f").value(), {0, text.size()}, sink).ok());
    EXPECT_EQ(sink.text(), text);
  }
  ::close(descriptor);
}

TEST_F(WaysToReadTest, a_truncation_is_found_before_the_bytes_are_handed_on) {
  write("f", std::string(100'000, 'x'));
  const auto source = open();
  const model::File file = source->find(call_, "f").value();
  std::filesystem::resize_file(scratch_ / "f", 99'999);
  AlignedSink sink(100'000);
  EXPECT_EQ(source->read(call_, file, {0, 100'000}, sink).error().code(), Code::kConflict);
  EXPECT_THAT(sink.steps(), IsEmpty());
}

}  // namespace
}  // namespace weighbridge::sources
