// A whole safetensors file: prefix, header, and as many bytes of data as follow. What is accepted
// must be a table that covers the data exactly.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string_view>

#include "base/check.h"
#include "formats/safetensors.h"
#include "model/tensor.h"

namespace {

using namespace weighbridge;  // NOLINT(google-build-using-namespace): a program of one file

// The size of a tensor, computed another way than the reader does.
std::uint64_t bytes_of(const model::TensorEntry& tensor) {
  unsigned __int128 bits = model::bits_of(tensor.dtype);
  for (const std::uint64_t dimension : tensor.shape) {
    bits *= dimension;
    WB_CHECK(bits >> 64U == 0, "an accepted shape fits");
  }
  WB_CHECK(bits % 8 == 0, "an accepted tensor is whole bytes");
  return static_cast<std::uint64_t>(bits / 8);
}

void check_table(const formats::SafetensorsTable& table, std::uint64_t file_bytes) {
  std::uint64_t at = table.header.end;
  std::set<std::string_view> names;
  for (const model::TensorEntry& tensor : table.tensors) {
    WB_CHECK(tensor.bytes.begin == at, "no hole and no overlap");
    WB_CHECK(tensor.bytes.end >= at && tensor.bytes.end <= file_bytes, "inside the file");
    WB_CHECK(tensor.bytes.size() == bytes_of(tensor), "as large as its shape");
    WB_CHECK(names.insert(tensor.name).second, "names are unique");
    at = tensor.bytes.end;
  }
  WB_CHECK(at == file_bytes, "covered to the end");
}

void check_error(const base::Error& error, std::uint64_t file_bytes) {
  WB_CHECK(error.code() == base::Code::kCorrupt || error.code() == base::Code::kUnsupported,
           "a hostile file is no other kind of error");
  WB_CHECK(error.offset() && *error.offset() <= file_bytes, "the place is in the file");
}

}  // namespace

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

// Blind mutation nearly always breaks the header's length, so it is mostly set right again: to the
// last brace.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data,
                                               std::size_t size,
                                               std::size_t max_size,
                                               unsigned seed) {
  size = LLVMFuzzerMutate(data, size, max_size);
  const std::span<std::uint8_t> file(data, size);
  const auto brace = std::find(file.rbegin(), file.rend(), std::uint8_t{'}'});
  const auto end = static_cast<std::size_t>(file.rend() - brace);
  if (seed % 8 == 0 || end <= formats::kSafetensorsPrefixBytes) {
    return size;
  }
  std::uint64_t length = end - formats::kSafetensorsPrefixBytes;
  for (std::uint8_t& byte : file.first(formats::kSafetensorsPrefixBytes)) {
    byte = static_cast<std::uint8_t>(length);
    length >>= 8U;
  }
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  const auto header = formats::safetensors_header(file, size);
  if (!header.ok()) {
    check_error(header.error(), size);
    return 0;
  }
  const auto json = file.subspan(header->begin, header->size());
  const auto table = formats::parse_safetensors(json, *header, size);
  if (table.ok()) {
    check_table(*table, size);
  } else {
    check_error(table.error(), size);
  }
  return 0;
}
