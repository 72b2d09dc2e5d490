// The index of a sharded model: every file it names must be one beside it, listed once, in order.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/check.h"
#include "formats/safetensors.h"
#include "model/snapshot.h"

namespace {

using namespace weighbridge;  // NOLINT(google-build-using-namespace): a program of one file

void check_index(const formats::ShardIndex& index) {
  WB_CHECK(!index.file_of.empty(), "an index lists something");
  for (const auto& [name, file] : index.file_of) {
    WB_CHECK(std::ranges::binary_search(index.files, file), "every tensor's file is listed");
  }
  for (const std::string& file : index.files) {
    WB_CHECK(model::is_snapshot_path(file), "beside the index");
  }
  WB_CHECK(std::ranges::adjacent_find(index.files) == index.files.end(), "each once");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto index = formats::parse_shard_index(std::as_bytes(std::span(data, size)));
  if (index.ok()) {
    check_index(*index);
  } else {
    WB_CHECK(index.error().code() == base::Code::kCorrupt, "no other kind of error");
    WB_CHECK(index.error().offset() && *index.error().offset() <= size, "the place is in the text");
  }
  return 0;
}
