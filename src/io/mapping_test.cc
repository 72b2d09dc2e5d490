#include "io/mapping.h"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "testing/scratch_directory.h"

namespace weighbridge::io {
namespace {

TEST(MappingTest, ShowsTheBytesOfAFileThatIsClosed) {
  const testing::ScratchDirectory scratch;
  const auto files = real_file_system();
  std::unique_ptr<const Mapping> mapping;
  {
    const auto file = files->create(scratch / "file").value();
    ASSERT_TRUE(file->write_at(0, std::as_bytes(std::span(std::string_view("text")))).ok());
    mapping = Mapping::of(*file, 4).value();
  }
  const std::string text(reinterpret_cast<const char*>(mapping->bytes().data()),
                         mapping->bytes().size());
  EXPECT_EQ(text, "text");
}

TEST(MappingTest, OfAnEmptyFileIsEmpty) {
  const testing::ScratchDirectory scratch;
  const auto files = real_file_system();
  const auto file = files->create(scratch / "file").value();
  EXPECT_TRUE(Mapping::of(*file, 0).value()->bytes().empty());
}

}  // namespace
}  // namespace weighbridge::io
